"""Asks a Prometheus every expression of a dashboard and of its rules. usage: queries.py URL DASHBOARD"""
import json
import re
import sys
import urllib.error
import urllib.parse
import urllib.request

url, dashboard = sys.argv[1:]


def ask(path, **parameters):
    with urllib.request.urlopen(f"{url}/api/v1/{path}?{urllib.parse.urlencode(parameters)}", timeout=5) as answer:
        return json.load(answer)["data"]


def panels(of):
    for panel in of.get("panels", []):
        yield panel
        yield from panels(panel)


known = set(ask("label/__name__/values"))
board = json.load(open(dashboard))
variables = {variable["name"] for variable in board["templating"]["list"]}
expressions = [
    (panel["title"], target["expr"]) for panel in panels(board) for target in panel.get("targets", [])
]
expressions += [
    (variable["name"], re.fullmatch(r"label_values\((.*), ?\w+\)", variable["definition"])[1])
    for variable in board["templating"]["list"]
    if variable["type"] == "query"
]
assert len(expressions) > 20, f"only {len(expressions)} expressions in the dashboard"
# Prometheus has read the rules already; their expressions are asked for the names in them.
expressions += [(rule["name"], rule["query"]) for group in ask("rules")["groups"] for rule in group["rules"]]
assert len(expressions) > 30, "the rules are not loaded"
for title, expression in expressions:
    for name in re.findall(r"\b(?:vxseal|process)_\w+", expression):
        assert name in known or any(name + end in known for end in ("_bucket", "_total")), f"{title}: no {name}"
    used = set(re.findall(r"\$(\w+)", expression)) - {"__rate_interval", "__range", "labels", "value"}
    assert used <= variables, f"{title}: no variable {used - variables}"
    filled = expression.replace("$__rate_interval", "30s").replace("$__range", "5m")
    for variable in variables:
        filled = filled.replace(f"${variable}", ".+")
    try:
        ask("query", query=filled)
    except urllib.error.HTTPError as error:
        sys.exit(f"{title}: {error.read().decode()}")
print(f"{len(expressions)} expressions")
