import CVXLinux
import Glibc

/// What the kernel says of itself, where no file says it.
public enum KernelState {
    /// Whether something keeps the clock right (adjtimex(2), TIME_ERROR).
    public static var isClockSynchronised: Bool { vx_clock_is_synchronised() != 0 }

    /// Whether random numbers are to be had without waiting (getrandom(2), GRND_NONBLOCK).
    public static var hasEntropy: Bool {
        var byte: UInt8 = 0
        return vx_getrandom_now(&byte, 1) == 1
    }
}
