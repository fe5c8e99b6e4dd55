"""Reads metrics as strictly as their formats are written. usage: exposition.py text|openmetrics FILE"""
import re
import sys

SAMPLE = re.compile(r'([a-zA-Z_:][\w:]*)(?:\{((?:[a-zA-Z_]\w*="(?:[^"\\\n]|\\[\\"n])*",?)*)\})? (\S+)')
LABEL = re.compile(r'([a-zA-Z_]\w*)="((?:[^"\\\n]|\\[\\"n])*)"(?:,|$)')
SUFFIXES = {
    "text": {"counter": [""], "gauge": [""], "histogram": ["_bucket", "_sum", "_count"]},
    "openmetrics": {"counter": ["_total"], "gauge": [""], "info": ["_info"], "histogram": ["_bucket", "_sum", "_count"]},
}


def check(form, text):
    assert text.endswith("\n") and "\n\n" not in text, "lines"
    lines = text[:-1].split("\n")
    if form == "openmetrics":
        assert lines.pop() == "# EOF", "the end"
    families, series, name, samples = {}, set(), None, 0
    for line in lines:
        if line.startswith("# "):
            kind, what, rest = line[2:].split(" ", 2)
            if kind == "HELP":
                assert what not in families, f"{what} stands twice"
                assert rest.strip() and rest[-1] in ".", line
                name = what
                families[name] = {"samples": 0}
            else:
                assert what == name and families[name]["samples"] == 0, line
                families[name][kind] = rest
                assert kind in ("TYPE", "UNIT"), line
                assert kind != "UNIT" or form == "openmetrics" and what.endswith("_" + rest), line
            continue
        match = SAMPLE.fullmatch(line)
        assert match, line
        metric, labels, value = match.groups()
        allowed = [name + suffix for suffix in SUFFIXES[form][families[name]["TYPE"]]]
        assert metric in allowed, f"{line} within {name}"
        pairs = LABEL.findall(labels or "")
        assert len({key for key, _ in pairs}) == len(pairs), line
        key = (metric, tuple(sorted(pairs)))
        assert key not in series, f"{line} stands twice"
        series.add(key)
        number = float(value)
        assert families[name]["TYPE"] == "gauge" or number >= 0, line
        families[name]["samples"] += 1
        samples += 1
    assert len(families) > 40 and samples > 150, f"{len(families)} families, {samples} samples"
    return families


form, path = sys.argv[1:]
families = check(form, open(path, encoding="utf-8", newline="").read())
if form == "openmetrics":
    try:
        from prometheus_client.openmetrics.parser import text_string_to_metric_families
    except ImportError:
        sys.exit()
    parsed = list(text_string_to_metric_families(open(path, encoding="utf-8").read()))
    assert {family.name for family in parsed} == set(families), "what the client library reads"
