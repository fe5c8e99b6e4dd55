extension FixedWidthInteger {
    /// Parses digits alone: no sign, no space, no needless leading zero (which some read as octal).
    init?(decimal text: some StringProtocol) {
        guard text.utf8.allSatisfy({ (0x30...0x39).contains($0) }), text.utf8.count == 1 || text.utf8.first != 0x30
        else {
            return nil
        }
        self.init(text, radix: 10)
    }

    /// Parses hexadecimal digits of either case alone.
    init?(hexadecimal text: some StringProtocol) {
        let isHexadecimal = text.utf8.allSatisfy { byte in
            (0x30...0x39).contains(byte) || (0x41...0x46).contains(byte) || (0x61...0x66).contains(byte)
        }
        guard isHexadecimal else { return nil }
        self.init(text, radix: 16)
    }
}
