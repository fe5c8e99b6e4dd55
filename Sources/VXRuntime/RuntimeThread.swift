import Glibc
import VXLinux

/// A thread of the runtime: named, started once, joined once.
final class RuntimeThread: @unchecked Sendable {
    private var handle: pthread_t = 0

    /// Starts a thread that runs `body` to its end. The name is cut to 15 bytes, as the kernel wants it.
    init(name: String, body: @escaping @Sendable () -> Void) {
        let box = Unmanaged.passRetained(
            Body {
                ThreadName.set(name)
                body()
            }
        )
        let code = pthread_create(
            &handle,
            nil,
            { argument in
                guard let argument else { return nil }
                Unmanaged<Body>.fromOpaque(argument).takeRetainedValue().run()
                return nil
            },
            box.toOpaque()
        )
        precondition(code == 0, "pthread_create: error \(code)")
    }

    /// Waits until the body has returned.
    func join() { pthread_join(handle, nil) }

    private final class Body: Sendable {
        let run: @Sendable () -> Void

        init(run: @escaping @Sendable () -> Void) { self.run = run }
    }
}
