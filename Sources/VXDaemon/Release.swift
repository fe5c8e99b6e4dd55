/// Which vxseal this is.
public enum Release {
    /// By semver.org; `-dev` until it is released.
    public static let version = "0.1.0-dev"
}
