"""From the text of a file to manifests and problems."""

import pytest

from isthmus.controller.inputs.snapshot import ObjectKey
from isthmus.manifests.documents import read_documents

SUBNET = "apiVersion: kubeovn.io/v1\nkind: Subnet\nmetadata: {name: a}\n"


def read(text: str) -> tuple[list[str], list[str]]:
    """The objects and the problems of a file `f.yaml`."""
    documents = read_documents("f.yaml", text.encode())
    return [str(key) for key in documents.manifests], [str(p) for p in documents.problems]


def test_several_documents_and_lists() -> None:
    """Documents, the items of `kind: List` and of typed lists are all read."""
    text = (
        SUBNET
        + "---\n# nothing\n---\napiVersion: v1\nkind: List\nitems:\n"
        + "- {apiVersion: v1, kind: Node, metadata: {name: n}}\n"
        + "---\napiVersion: kubeovn.io/v1\nkind: SubnetList\nitems: [{metadata: {name: b}}]\n"
    )
    assert read(text) == (["Subnet a", "Node n", "Subnet b"], [])


def test_json_is_read_too() -> None:
    """JSON is read as the subset of YAML that it is."""
    text = '{"apiVersion": "v1", "kind": "Node", "metadata": {"name": "n"}}'
    assert read(text) == (["Node n"], [])


def test_namespaces() -> None:
    """A ConfigMap without a namespace is in `default`; cluster-scoped kinds have none."""
    text = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: c}\n---\n" + SUBNET.replace(
        "{name: a}", "{name: a, namespace: x}"
    )
    keys = read_documents("f.yaml", text.encode()).manifests.keys()
    assert keys == {ObjectKey("ConfigMap", "default", "c"), ObjectKey("Subnet", "", "a")}


@pytest.mark.parametrize(
    "text",
    [
        "apiVersion: v1\nkind: Secret\nmetadata: {name: s}\n",
        "apiVersion: apps/v1\nkind: Deployment\n",
        "apiVersion: kubeovn.io/v1\nkind: VpcDns\n",
        "apiVersion: ec2.aws.upbound.io/v1beta1\nkind: Subnet\n",
        "replicas: 3\n",
        "",
    ],
)
def test_objects_of_other_programs_are_ignored(text: str) -> None:
    """Objects that are not for Isthmus are neither read nor reported."""
    assert read(text) == ([], [])


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("kind: [\n", "file f.yaml: line 2: is not valid YAML"),
        ("a: 1\na: 2\n", "duplicate key 'a'"),
        ("\xff: \x00", "is not valid YAML"),
        ("apiVersion: v1", "kind: is missing; give each document its kind"),
        ("kind: Subnet\n", "apiVersion: is missing"),
        ("apiVersion: v1\nkind: 7\n", "kind = '7': must be a string"),
        ("just words\n", "contains a document that is not a Kubernetes object"),
        (SUBNET.replace("Subnet", "Subnets"), "kind = 'kubeovn.io/v1 Subnets': does not exist"),
        (SUBNET.replace("Subnet", "subnet"), "write apiVersion: kubeovn.io/v1 and kind: Subnet"),
        (SUBNET.replace("io/v1", "io/v2"), "kind = 'kubeovn.io/v2 Subnet': does not exist"),
        (SUBNET.replace("kubeovn.io/", ""), "write apiVersion: kubeovn.io/v1 and kind: Subnet"),
        ("apiVersion: v2\nkind: ConfigMap\n", "write apiVersion: v1 and kind: ConfigMap"),
        ("apiVersion: v1\nkind: Configmaps\n", "write apiVersion: v1 and kind: ConfigMap"),
        (SUBNET.replace("{name: a}", "{}"), "metadata.name: is missing"),
        (SUBNET.replace("name: a", "name: 5"), "metadata.name = '5': must be a string"),
        (SUBNET + "---\n" + SUBNET, "Subnet a: is given in f.yaml twice; remove one"),
    ],
)
def test_invalid_documents_are_reported(text: str, expected: str) -> None:
    """Each problem names the file, the place, the value and the remedy."""
    problems = read(text)[1]
    assert len(problems) == 1
    assert expected in problems[0]


def test_the_good_documents_of_a_file_count() -> None:
    """An invalid object does not hide the others in its file."""
    keys, problems = read(SUBNET + "---\n" + SUBNET.replace("Subnet", "subnets"))
    assert keys == ["Subnet a"]
    assert len(problems) == 1


def test_hostile_yaml_ends() -> None:
    """Lists that contain themselves, and objects of Python, are refused like any bad file."""
    assert len(read("&a {kind: List, items: [*a]}\n")[1]) == 1
    assert "could not determine a constructor" in read("!!python/object:os.system {}\n")[1][0]
