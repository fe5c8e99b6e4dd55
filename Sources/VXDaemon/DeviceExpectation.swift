package import VXConfig
import VXCrypto
package import VXWire

/// What a network's device should be like, for who looks at it from outside.
package struct DeviceExpectation {
    /// The MTU in bytes, as a daemon that started now would choose it.
    package let mtu: Int
    /// The MAC address; nil before this node's first start.
    package let address: MACAddress?
    /// What a bridge says that this node made.
    package let bridgeAlias: String

    /// Of a network of a configuration.
    package init(of network: NetworkConfiguration, in configuration: NodeConfiguration) {
        let key = DeviceKeyFile(stateDirectory: configuration.stateDirectory).stored
        let maker = DeviceMaker(configuration: configuration, addressKey: key ?? configuration.identity.publicKey)
        mtu = maker.mtu(of: network)
        address = key == nil ? nil : maker.address(of: network)
        bridgeAlias = maker.alias
    }
}
