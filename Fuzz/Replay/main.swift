// Gives each of the files that are named to a fuzz target once, without libFuzzer.
import Glibc

@_silgen_name("LLVMFuzzerTestOneInput")
func testOneInput(_ bytes: UnsafePointer<UInt8>, _ count: Int) -> CInt

for path in CommandLine.arguments.dropFirst() {
    // The last one is the one that traps.
    print(path)
    fflush(nil)
    guard let file = fopen(path, "rb") else { fatalError("cannot open \(path)") }
    var input: [UInt8] = []
    while case let byte = getc(file), byte != EOF { input.append(UInt8(truncatingIfNeeded: byte)) }
    fclose(file)
    // Of exactly its size, as libFuzzer gives it.
    let bytes = UnsafeMutablePointer<UInt8>.allocate(capacity: input.count)
    bytes.initialize(from: input, count: input.count)
    _ = testOneInput(bytes, input.count)
    bytes.deallocate()
}
