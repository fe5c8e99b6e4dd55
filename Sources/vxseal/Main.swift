import VXCommands

@main
enum Main {
    static func main() { Root.start() }
}
