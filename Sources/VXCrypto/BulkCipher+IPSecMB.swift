#if VX_IPSEC_MB
    import CIPSecMB
    import CSodium
    import Glibc

    extension BulkCipher {
        /// Intel's libipsec-mb, through its job interface, one manager a cipher.
        ///
        /// The manager's ring of jobs keeps addresses of keys and nonces, no key bytes. Registers and stack are cleared
        /// by the library itself where it is built with SAFE_DATA, and one that is not is refused. The manager's memory
        /// is wiped with the cipher all the same.
        static func ipsecMB() throws(Refusal) -> BulkCipher {
            let manager = try IPSecMBLibrary.shared.get().makeManager()
            return BulkCipher(
                provider: .ipsecMB,
                context: manager,
                seal: { context, destination, source, count, header, headerCount, nonce, key in
                    let isSealed =
                        vx_imb_chacha20_poly1305(
                            IPSecMBLibrary.manager(context),
                            IMB_DIR_ENCRYPT,
                            destination,
                            source,
                            count,
                            header,
                            headerCount,
                            nonce,
                            key,
                            destination + count
                        )
                    return isSealed || wipeUnsealed(destination, count: count)
                },
                open: { context, bytes, count, header, headerCount, nonce, key in
                    // The library decrypts and tells which tag would fit; the comparison is ours.
                    var tag: (UInt64, UInt64) = (0, 0)
                    let isAuthentic =
                        vx_imb_chacha20_poly1305(
                            IPSecMBLibrary.manager(context),
                            IMB_DIR_DECRYPT,
                            bytes,
                            bytes,
                            count,
                            header,
                            headerCount,
                            nonce,
                            key,
                            &tag
                        ) && crypto_verify_16(&tag, bytes + count) == 0
                    if !isAuthentic {
                        // Nor may the tag that would have fitted stay behind.
                        sodium_memzero(bytes, count)
                        sodium_memzero(&tag, BulkCipher.tagLength)
                    }
                    return isAuthentic
                },
                free: { IPSecMBLibrary.free($0) }
            )
        }
    }

    /// The library, opened once and for good. It is not linked, so that the program runs where it is missing.
    struct IPSecMBLibrary: Sendable {
        private let managerSize: vx_imb_get_mb_mgr_size
        private let prepare: vx_imb_set_pointers_mb_mgr
        private let initialize: vx_init_mb_mgr_auto

        private static let mend =
            "install libipsec-mb (Debian and Ubuntu: apt-get install libipsec-mb1), or set cipher: auto"

        static let shared = Result { () throws(BulkCipher.Refusal) in
            try IPSecMBLibrary(name: "libIPSec_MB.so.\(vx_imb_header_version() >> 16)")
        }

        /// Opens the library of a name as the loader knows it.
        init(name: String) throws(BulkCipher.Refusal) {
            guard let handle = dlopen(name, RTLD_NOW | RTLD_LOCAL) else {
                throw BulkCipher.Refusal(.ipsecMB, "\(name) cannot be opened: \(Self.loaderError)", Self.mend)
            }
            guard let version = dlsym(handle, "imb_get_version"),
                let size = dlsym(handle, "imb_get_mb_mgr_size"),
                let prepare = dlsym(handle, "imb_set_pointers_mb_mgr"),
                let initialize = dlsym(handle, "init_mb_mgr_auto")
            else {
                throw BulkCipher.Refusal(.ipsecMB, "\(name) lacks a function: \(Self.loaderError)", Self.mend)
            }
            // The manager's layout is read from the header, so the library must be of the same release.
            let wanted = vx_imb_header_version() >> 8
            let found = unsafeBitCast(version, to: vx_imb_get_version.self)() >> 8
            guard found == wanted else {
                throw BulkCipher.Refusal(
                    .ipsecMB,
                    "\(name) is of release \(found >> 8).\(found & 0xff), "
                        + "this program is built for \(wanted >> 8).\(wanted & 0xff)",
                    "build vxseal on this system, or set cipher: auto"
                )
            }
            managerSize = unsafeBitCast(size, to: vx_imb_get_mb_mgr_size.self)
            self.prepare = unsafeBitCast(prepare, to: vx_imb_set_pointers_mb_mgr.self)
            self.initialize = unsafeBitCast(initialize, to: vx_init_mb_mgr_auto.self)
        }

        private static var loaderError: String { dlerror().map { String(cString: $0) } ?? "no reason given" }

        /// A manager for one thread, in memory of ours, behind a word with its size.
        func makeManager() throws(BulkCipher.Refusal) -> UnsafeMutableRawPointer {
            let size = managerSize()
            let memory = UnsafeMutableRawPointer.allocate(byteCount: Self.prefix + size, alignment: Self.prefix)
            memory.storeBytes(of: size, as: Int.self)
            let context = memory + Self.prefix
            guard let manager = prepare(context, 0, 1) else {
                Self.free(context)
                throw BulkCipher.Refusal(.ipsecMB, "imb_set_pointers_mb_mgr failed", Self.mend)
            }
            var architecture = IMB_ARCH_NONE
            initialize(manager, &architecture)
            let features = manager.pointee.features
            let reason: String? =
                if architecture == IMB_ARCH_NONE {
                    "it does not know this processor"
                } else if features & UInt64(IMB_FEATURE_SAFE_DATA) == 0 {
                    "it is built without SAFE_DATA and would leave keys on the stack"
                } else if features & UInt64(IMB_FEATURE_SELF_TEST) != 0
                    && features & UInt64(IMB_FEATURE_SELF_TEST_PASS) == 0
                {
                    "its own self-test fails"
                } else {
                    nil
                }
            guard let reason else { return context }
            Self.free(context)
            throw BulkCipher.Refusal(.ipsecMB, "libipsec-mb is not fit: \(reason)", "set cipher: auto")
        }

        /// Bytes before the manager, which wants an alignment of 64.
        private static let prefix = 64

        @inline(__always)
        static func manager(_ context: UnsafeMutableRawPointer?) -> UnsafeMutablePointer<IMB_MGR> {
            context.unsafelyUnwrapped.assumingMemoryBound(to: IMB_MGR.self)
        }

        static func free(_ context: UnsafeMutableRawPointer?) {
            guard let context else { return }
            let memory = context - prefix
            sodium_memzero(context, memory.load(as: Int.self))
            memory.deallocate()
        }
    }
#endif
