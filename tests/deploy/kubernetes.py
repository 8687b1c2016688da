"""Checks how the objects of a manifest belong together, and writes the files of the gateway into a folder."""

import sys
import tomllib
from pathlib import Path

import yaml

manifest, folder = sys.argv[1:]
objects = list(yaml.safe_load_all(Path(manifest).read_text()))
kinds = {item["kind"]: item for item in objects}
assert len(kinds) == len(objects) == 5, sorted(kinds)

deployment = kinds["Deployment"]["spec"]
pod = deployment["template"]
labels = pod["metadata"]["labels"].items()
assert deployment["replicas"] == 2
for selector in (
    deployment["selector"]["matchLabels"],
    kinds["Service"]["spec"]["selector"],
    kinds["PodDisruptionBudget"]["spec"]["selector"]["matchLabels"],
):
    assert selector.items() <= labels, selector

# The Pod Security Standard "restricted".
(container,) = pod["spec"]["containers"]
security = {**pod["spec"]["securityContext"], **container["securityContext"]}
assert security["runAsNonRoot"] and security["readOnlyRootFilesystem"]
assert not security["allowPrivilegeEscalation"]
assert security["capabilities"] == {"drop": ["ALL"]}
assert security["seccompProfile"] == {"type": "RuntimeDefault"}

text = kinds["ConfigMap"]["data"]["gateway.toml"]
settings = tomllib.loads(text)
ports = {port["name"]: port["containerPort"] for port in container["ports"]}
for name, listen in (("http", settings["listen"]), ("probe", settings["probe"]["listen"])):
    assert listen == f"0.0.0.0:{ports[name]}", (name, listen)
for probe, path in (("startupProbe", "/livez"), ("livenessProbe", "/livez"), ("readinessProbe", "/readyz")):
    assert container[probe]["httpGet"] == {"path": path, "port": "probe"}, probe
assert kinds["Service"]["spec"]["ports"][0]["targetPort"] in ports

# What is mounted where the arguments and the settings expect it.
sources = {
    volume["name"]: volume.get("configMap", {}).get("name") or volume["secret"]["secretName"]
    for volume in pod["spec"]["volumes"]
}
mounts = {mount["mountPath"]: sources[mount["name"]] for mount in container["volumeMounts"]}
config, secrets = kinds["ConfigMap"], kinds["Secret"]
path = Path(container["args"][-1])
assert mounts[str(path.parent)] == config["metadata"]["name"] and path.name in config["data"]
files = settings["nonces"]["secrets_file"], settings["replay"]["password_file"]
for path in map(Path, files):
    assert mounts[str(path.parent)] == secrets["metadata"]["name"] and path.name in secrets["stringData"]
    text = text.replace(str(path), str(Path(folder, path.name)))
    Path(folder, path.name).write_text(secrets["stringData"][path.name])
Path(folder, "gateway.toml").write_text(text)
