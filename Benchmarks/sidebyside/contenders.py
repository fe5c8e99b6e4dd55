"""What is compared: each contender makes its tunnel on a stage and says which address is behind it."""

import pathlib
import sys

from .stage import NAMES, UNDERLAY

CLIENTS = pathlib.Path(__file__).resolve().parents[2] / "Tests/IntegrationTests/Scripts/clients.py"

CIPHERS = ("libsodium", "openssl", "ipsec-mb")
LANES = (1, 2)


def other(name):
    return NAMES[1 - NAMES.index(name)]


class Contender:
    """One way from namespace a to namespace b.

    `start` makes the way and returns once it carries packets of `mtu` bytes; `stop` takes it down again, so that only
    one contender at a time has processes and devices.
    """

    kind = "baseline"
    packages = ()

    def __init__(self, identifier, title, network, mtu=1500):
        self.identifier = identifier
        self.title = title
        self.network = network
        self.mtu = mtu

    def address(self, name):
        return f"{self.network}.{NAMES.index(name) + 1}"

    @property
    def target(self):
        return self.address("b")

    def refusal(self, stage):
        """Why this contender can't be measured here, or None."""
        return None

    def start(self, stage):
        stage.until_reached(self.target, self.mtu)

    def stop(self, stage):
        stage.stop_daemons()


class KernelVXLAN(Contender):
    def start(self, stage):
        for name in NAMES:
            ends = ["local", UNDERLAY[name], "remote", UNDERLAY[other(name)]]
            stage.run("ip", "-n", name, "link", "add", "vxk", "type", "vxlan", "id", "40", "dstport", "8472", *ends)
            stage.bring_up(name, "vxk", self.address(name))
        super().start(stage)

    def stop(self, stage):
        for name in NAMES:
            stage.run("ip", "-n", name, "link", "delete", "vxk", check=False)


class VXSeal(Contender):
    kind = "vxseal"

    def __init__(self, identifier, title, network, mtu, binary, mode, settings=()):
        super().__init__(identifier, title, network, mtu)
        self.binary = binary
        self.mode = mode
        self.settings = settings

    def configure(self, stage):
        public = {}
        for name in NAMES:
            key = stage.work / self.identifier / f"{name}.key"
            key.parent.mkdir(exist_ok=True)
            if not key.exists():
                stage.run(self.binary, "genkey", "--output", str(key))
            public[name] = stage.run(self.binary, "pubkey", stdin=key.read_text()).strip()
        return {name: self._configuration(stage, name, public) for name in NAMES}

    def _configuration(self, stage, name, public):
        folder = stage.work / self.identifier
        if self.mode == "sealed":
            peer = f'publicKey: "{public[other(name)]}", endpoint: "{UNDERLAY[other(name)]}:47890"'
        else:
            peer = f'plaintext: true, endpoint: "{UNDERLAY[other(name)]}:4789"'
        lines = [
            f"node: {name}",
            f"privateKeyFile: {name}.key",
            f"stateDirectory: {folder}/state-{name}",
            f"adminSocket: {folder}/{name}.sock",
            *self.settings,
            "networks:",
            f"  - {{vni: 42, device: vxs, mode: {self.mode}, addresses: [{self.address(name)}/24]}}",
            "peers:",
            f"  - {{name: {other(name)}, {peer}, networks: [42]}}",
        ]
        return stage.write(f"{self.identifier}/{name}.yaml", "\n".join(lines) + "\n")

    def refusal(self, stage):
        # Only what this build may lack can be refused; vxseal as it comes must run.
        if not self.settings:
            return None
        command = [self.binary, "check", "--allow-volatile-state", "-c", self.configure(stage)["a"]]
        printed = stage.run("sh", "-c", '"$@" 2>&1 && echo accepted', "check", *command, check=False)
        if printed.rstrip().endswith("accepted"):
            return None
        problems = [line for line in printed.splitlines() if "error" in line]
        reason = " ".join((problems or printed.splitlines() or ["no reason given"])[:1])
        return f"refused by vxseal check: {reason.replace(str(stage.work) + '/', '')}"

    def start(self, stage):
        for name, path in self.configure(stage).items():
            stage.start_daemon(self.binary, "up", "--allow-volatile-state", "-c", path, within=name)
        super().start(stage)


class VXSealWithClients(VXSeal):
    """Beside 50 clients that ask node a for its status and metrics without pause, and take processor time to do so."""

    METRICS = ("127.0.0.1", "9472")

    def __init__(self, binary):
        title = "vxseal sealed, 50 busy clients"
        super().__init__("sealed-clients", title, "10.59.0", 1414, binary, "sealed", (f'metrics: "{":".join(self.METRICS)}"',))

    def start(self, stage):
        super().start(stage)
        told = stage.work / self.identifier / "clients"
        with told.open("w") as output:
            socket = str(stage.work / self.identifier / "a.sock")
            stage.start_daemon(sys.executable, str(CLIENTS), socket, *self.METRICS, "busy", within="a", output=output)
        stage.until("the clients ask", lambda: "busy" in told.read_text())


def baselines():
    return [
        Contender("veth", "bare veth", "192.0.2"),
        KernelVXLAN("kernel", "kernel VXLAN, plaintext", "10.40.0", 1450),
    ]


def vxseals(binary):
    """vxseal as it comes, then each provider with each number of lanes, then asked much."""
    found = [
        VXSeal("plaintext", "vxseal plaintext", "10.60.0", 1450, binary, "plaintext"),
        VXSeal("sealed", "vxseal sealed", "10.61.0", 1414, binary, "sealed"),
    ]
    for cipher in CIPHERS:
        for lanes in LANES:
            title = f"vxseal sealed, {cipher}, {lanes} lane{'s' if lanes > 1 else ''}"
            settings = (f"cipher: {cipher}", f"lanes: {lanes}")
            network = f"10.{62 + len(found)}.0"
            found.append(VXSeal(f"sealed-{cipher}-{lanes}", title, network, 1414, binary, "sealed", settings))
    found.append(VXSealWithClients(binary))
    return found
