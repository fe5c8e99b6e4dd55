"""A run as an SVG picture of three bar charts, for light and dark pages."""

from xml.sax.saxutils import escape

from .report import headline

PANELS = [
    ("tcp1", "TCP, 1 stream: Gbit/s", "{:.2f}"),
    ("udp64", "UDP of 64 bytes: thousand packets a second received", "{:.0f}"),
    ("rtt_p50", "idle round trip, median: µs (shorter is better)", "{:.0f}"),
]
WIDTH, MARGIN, LABELS, VALUES = 860, 20, 270, 70
BAR, STEP, HEAD, GAP = 14, 20, 30, 16

STYLE = """
.page { fill: #ffffff; } text { font: 13px system-ui, sans-serif; fill: #1f2328; } .head { font-weight: 600; }
.note { font-size: 11px; fill: #59636e; } .value { font-variant-numeric: tabular-nums; }
.baseline { fill: #8c959f; } .peer { fill: #c4762b; } .vxseal { fill: #1a7f6b; }
@media (prefers-color-scheme: dark) {
.page { fill: #0d1117; } text { fill: #e6edf3; } .note { fill: #9198a1; }
.baseline { fill: #6e7681; } .peer { fill: #e09a4f; } .vxseal { fill: #3fb79a; } }
"""


def chart(run):
    body, top = [], MARGIN + 14
    body.append(f'<text class="head" x="{MARGIN}" y="{top}">Two nodes on one machine, side by side</text>')
    top += 18
    body.append(f'<text class="note" x="{MARGIN}" y="{top}">{escape(headline(run))}</text>')
    top += 18
    legend = (("baseline", "no encryption, kernel"), ("peer", "encrypted, user space"), ("vxseal", "vxseal"))
    for place, (kind, text) in enumerate(legend):
        left = MARGIN + 200 * place
        body.append(f'<rect class="{kind}" x="{left}" y="{top - 9}" width="10" height="10" rx="2"/>')
        body.append(f'<text class="note" x="{left + 15}" y="{top}">{text}</text>')
    for figure, title, shape in PANELS:
        top += GAP + HEAD
        body.append(f'<text class="head" x="{MARGIN}" y="{top - 6}">{escape(title)}</text>')
        rows = [row for row in run["contenders"] if figure in row["median"]]
        largest = max((row["median"][figure] for row in rows), default=1)
        for row in rows:
            value = row["median"][figure]
            length = max(1, (WIDTH - 2 * MARGIN - LABELS - VALUES) * value / largest)
            left = MARGIN + LABELS
            body.append(f'<text x="{left - 8}" y="{top + 15}" text-anchor="end">{escape(row["title"])}</text>')
            body.append(
                f'<rect class="{row["kind"]}" x="{left}" y="{top + 4}" width="{length:.1f}" height="{BAR}" rx="2"/>'
            )
            text = shape.format(value)
            body.append(f'<text class="value" x="{left + length + 6:.1f}" y="{top + 15}">{text}</text>')
            top += STEP
    height = top + MARGIN
    label = escape("Bar charts of " + "; ".join(title for _, title, _ in PANELS), {'"': "&quot;"})
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}" '
        f'role="img" aria-label="{label}">\n<style>{STYLE}</style>\n'
        f'<rect class="page" width="{WIDTH}" height="{height}" rx="6"/>\n' + "\n".join(body) + "\n</svg>\n"
    )
