import VXCommands

@main
enum Main {
    static func main() async {
        await Root.start()
    }
}
