import Glibc
import VXCNI

@main
enum Main {
    static func main() { exit(Plugin.run()) }
}
