"""The encrypted user space tunnels that Debian packages, with ChaCha20-Poly1305 where they have it.

Each gets the largest MTU that the wire's 1500 bytes allow it, and keys made for this run.
"""

import os
import re
import shutil
import signal

from .contenders import Contender, other
from .stage import NAMES, UNDERLAY


class Peer(Contender):
    kind = "peer"
    program = ""

    def __init__(self, network):
        super().__init__(self.identifier, self.title, network, self.mtu)

    def refusal(self, stage):
        if shutil.which(self.program):
            return None
        return f"{self.program} is not installed: Tools/install-dependencies --bench installs it"


class WireGuardGo(Peer):
    identifier, title, mtu = "wireguard-go", "wireguard-go", 1440
    program, packages = "wireguard-go", ("wireguard-go", "wireguard-tools")

    def start(self, stage):
        keys = {name: stage.run("wg", "genkey") for name in NAMES}
        public = {name: stage.run("wg", "pubkey", stdin=keys[name]).strip() for name in NAMES}
        # Without this it leaves its parent and writes its log nowhere.
        environment = {**os.environ, "WG_PROCESS_FOREGROUND": "1"}
        for name in NAMES:
            # The device's name names its control socket too, and both daemons see one /run.
            device = f"wg-{name}"
            stage.start_daemon("wireguard-go", device, within=name, environment=environment)
            stage.bring_up(name, device, self.address(name), self.mtu)
            settings = ["private-key", stage.write(f"wireguard/{name}.key", keys[name]), "listen-port", "51820"]
            peer = ["peer", public[other(name)], "allowed-ips", self.address(other(name)) + "/32"]
            endpoint = ["endpoint", UNDERLAY[other(name)] + ":51820"]
            stage.run("wg", "set", device, *settings, *peer, *endpoint, within=name)
        super().start(stage)


class Nebula(Peer):
    identifier, title, mtu = "nebula", "nebula", 1440
    program, packages = "nebula", ("nebula",)

    def start(self, stage):
        folder = stage.work / "nebula"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        authority = ["-ca-crt", f"{folder}/ca.crt", "-ca-key", f"{folder}/ca.key"]
        stage.run("nebula-cert", "ca", "-name", "bench", "-out-crt", authority[1], "-out-key", authority[3])
        for name in NAMES:
            files = ["-out-crt", f"{folder}/{name}.crt", "-out-key", f"{folder}/{name}.key"]
            stage.run("nebula-cert", "sign", "-name", name, "-ip", self.address(name) + "/24", *authority, *files)
        for name in NAMES:
            path = stage.write(
                f"nebula/{name}.yaml",
                f"""pki: {{ca: {folder}/ca.crt, cert: {folder}/{name}.crt, key: {folder}/{name}.key}}
static_host_map: {{"{self.address(other(name))}": ["{UNDERLAY[other(name)]}:4242"]}}
lighthouse: {{am_lighthouse: false}}
listen: {{host: {UNDERLAY[name]}, port: 4242}}
cipher: chachapoly
tun: {{dev: nebula0, mtu: {self.mtu}}}
firewall:
  outbound: [{{port: any, proto: any, host: any}}]
  inbound: [{{port: any, proto: any, host: any}}]
""",
            )
            stage.start_daemon("nebula", "-config", path, within=name)
        super().start(stage)


class Fastd(Peer):
    identifier, title, mtu = "fastd", "fastd (salsa2012+umac, TAP)", 1434
    program, packages = "fastd", ("fastd",)

    def start(self, stage):
        secret = {name: stage.run("fastd", "--generate-key", "--machine-readable").strip() for name in NAMES}
        public = {}
        for name in NAMES:
            key = stage.write(f"fastd/{name}.key", f'secret "{secret[name]}";\n')
            public[name] = stage.run("fastd", "--show-key", "--machine-readable", "-c", key).strip()
        for name in NAMES:
            path = stage.write(
                f"fastd/{name}.conf",
                f"""mode tap;
interface "fastd0";
method "salsa2012+umac";
mtu {self.mtu};
bind {UNDERLAY[name]}:10000;
secret "{secret[name]}";
peer "{other(name)}" {{ key "{public[other(name)]}"; remote {UNDERLAY[other(name)]}:10000; }}
""",
            )
            stage.start_daemon("fastd", "-c", path, within=name)
            stage.bring_up(name, "fastd0", self.address(name))
        super().start(stage)


class OpenVPN(Peer):
    identifier, title, mtu = "openvpn", "openvpn (ChaCha20-Poly1305, TAP)", 1434
    program, packages = "openvpn", ("openvpn", "openssl")

    def start(self, stage):
        folder = stage.work / "openvpn"
        folder.mkdir(exist_ok=True)
        fingerprint = {}
        for name in NAMES:
            files = ["-keyout", f"{folder}/{name}.key", "-out", f"{folder}/{name}.crt"]
            curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"]
            stage.run("openssl", "req", "-x509", *curve, "-nodes", "-subj", f"/CN={name}", "-days", "2", *files)
            shown = stage.run("openssl", "x509", "-in", files[3], "-noout", "-fingerprint", "-sha256")
            fingerprint[name] = shown.strip().split("=")[1]
        for name in NAMES:
            stage.start_daemon(
                "openvpn", "--dev", "tap0", "--dev-type", "tap", "--proto", "udp", "--fast-io",
                "--local", UNDERLAY[name], "--remote", UNDERLAY[other(name)],
                *(["--tls-server", "--dh", "none"] if name == "a" else ["--tls-client"]),
                "--cert", f"{folder}/{name}.crt", "--key", f"{folder}/{name}.key",
                "--peer-fingerprint", fingerprint[other(name)],
                "--data-ciphers", "CHACHA20-POLY1305", "--tun-mtu", str(self.mtu), "--mssfix", "0",
                within=name,
            )  # fmt: skip
            stage.bring_up(name, "tap0", self.address(name))
        super().start(stage)


class Tinc(Peer):
    """tinc 1.0 has no ChaCha20-Poly1305: its own default, AES-256-CBC and HMAC-SHA-256."""

    identifier, title, mtu = "tinc", "tinc (AES-256-CBC, switch)", 1437
    program, packages = "tincd", ("tinc",)

    def start(self, stage):
        folder = stage.work / "tinc"
        shutil.rmtree(folder, ignore_errors=True)
        for name in NAMES:
            settings = ["Mode = switch", "DeviceType = tap", "Interface = tinc0", f"ConnectTo = {other(name)}"]
            stage.write(f"tinc/{name}/tinc.conf", "\n".join([f"Name = {name}", *settings]) + "\n")
            stage.write(f"tinc/{name}/hosts/{name}", f"Address = {UNDERLAY[name]}\n")
            stage.run("tincd", "-c", f"{folder}/{name}", "-K2048", stdin="\n\n")
        for name in NAMES:
            shutil.copy(folder / other(name) / "hosts" / other(name), folder / name / "hosts" / other(name))
        self.logs = {}
        daemons = {}
        for name in NAMES:
            self.logs[name] = folder / f"{name}.log"
            files = ["-c", f"{folder}/{name}", "--pidfile", f"{folder}/{name}.pid"]
            with self.logs[name].open("w") as log:
                daemons[name] = stage.start_daemon("tincd", *files, "-D", "-d1", within=name, output=log)
            stage.bring_up(name, "tinc0", self.address(name), self.mtu)
        # Until it knows the path's MTU it sends through TCP. SIGUSR2, once it is handled, makes it write what it knows
        # into its log; it interrupts tinc's own waiting too, so it must not come often.
        for name in NAMES:
            stage.until("tinc is ready", lambda: "Ready" in self.logs[name].read_text())
            stage.until("tinc's path MTU is found", lambda: self.knows_path(daemons[name], name), 40, pace=0.5)
        super().start(stage)

    def knows_path(self, daemon, name):
        """Whether the last whole line about the other node says "pmtu 1451 (min 1451 ...", Ethernet header included."""
        daemon.send_signal(signal.SIGUSR2)
        found = re.findall(rf" {other(name)} at .* pmtu (\d+) \(min (\d+) max", self.logs[name].read_text())
        return bool(found) and found[-1][0] == found[-1][1] and int(found[-1][0]) >= self.mtu + 14


def peers():
    kinds = (WireGuardGo, Nebula, Fastd, OpenVPN, Tinc)
    return [kind(f"10.{50 + place}.0") for place, kind in enumerate(kinds)]
