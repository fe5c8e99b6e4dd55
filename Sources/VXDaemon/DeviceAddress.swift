package import VXConfig
import VXCrypto
package import VXWire

extension NodeConfiguration {
    /// The MAC address that the device of a network has, or will have: what a directory is told before the device is there.
    /// - Throws: when the state directory cannot be written.
    package func deviceAddress(vni: VNI) throws -> MACAddress {
        let key = try DeviceKeyFile(stateDirectory: stateDirectory).key(for: identity.publicKey)
        return DeviceMaker(configuration: self, addressKey: key).address(vni: vni)
    }
}
