"""What the project wants of vxseal, as ratios within one run or as limits, and how a run compares."""

import operator

SEALED, PLAINTEXT, KERNEL = "sealed", "plaintext", "kernel"


class Target:
    def __init__(self, text, relation, wanted, value, unit=""):
        self.text = text
        self.relation = relation
        self.wanted = wanted
        self.value = value
        self.unit = unit

    def row(self, figures, peers):
        """Cells of a table row: what, wanted, measured, met; or that it can't be told from this run."""
        wanted = f"{self.relation} {self.wanted:g}{self.unit}"
        try:
            value = self.value(figures, peers)
        except (KeyError, ValueError, ZeroDivisionError):
            return [self.text, wanted, "not measured", "-"]
        compare = {">=": operator.ge, "<=": operator.le, "<": operator.lt}[self.relation]
        return [self.text, wanted, f"{value:.2f}{self.unit}", "yes" if compare(value, self.wanted) else "**no**"]


def of_contender(figure, contender, base):
    """The ratio of two contenders in one figure."""
    return lambda figures, _: figures[contender][figure] / figures[base][figure]


def of_best_peer(figure, best):
    """The ratio of vxseal sealed to the best user space peer in one figure."""
    return lambda figures, peers: (
        figures[SEALED][figure] / best(figures[peer][figure] for peer in peers if figure in figures[peer])
    )


TARGETS = [
    Target("sealed TCP 1 stream / kernel VXLAN", ">=", 0.50, of_contender("tcp1", SEALED, KERNEL)),
    Target("sealed TCP 1 stream / best user space peer", ">=", 7, of_best_peer("tcp1", max)),
    Target("sealed TCP 4 streams / 1 stream", ">=", 1, lambda f, _: f[SEALED]["tcp4"] / f[SEALED]["tcp1"]),
    Target("sealed UDP 64 B / kernel VXLAN", ">=", 1.1, of_contender("udp64", SEALED, KERNEL)),
    Target("sealed UDP 1300 B / best user space peer", ">=", 2, of_best_peer("udp1300", max)),
    Target("plaintext TCP 1 stream / kernel VXLAN", ">=", 0.7, of_contender("tcp1", PLAINTEXT, KERNEL)),
    Target("sealed idle RTT p50 / lowest of the user space peers", "<", 1, of_best_peer("rtt_p50", min)),
    Target("sealed CPU s/GB / lowest of the user space peers", "<=", 0.15, of_best_peer("cpu", min)),
    Target("sealed RSS of one daemon", "<=", 48, lambda figures, _: figures[SEALED]["rss"], unit=" MiB"),
]
