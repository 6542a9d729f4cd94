"""`make sbom`: the software bill of materials (CycloneDX), from what pip would install today.

Each package with its version, licence, digest and what it needs; those of the extras are optional.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from cyclonedx.contrib.hash.factories import HashTypeFactory
from cyclonedx.contrib.license.factories import LicenseFactory
from cyclonedx.model import ExternalReference, ExternalReferenceType, XsUri
from cyclonedx.model.bom import Bom
from cyclonedx.model.component import Component, ComponentScope, ComponentType
from cyclonedx.model.license import License
from cyclonedx.output.json import JsonV1Dot6
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from packageurl import PackageURL
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tools.packages.resolved import FAILURES, Package, extras, resolved


def main() -> int:
    """Write the bill to the file that is named."""
    path = Path(sys.argv[1])
    try:
        bill = bill_of(resolved(sys.argv[2:] or extras()))
    except FAILURES:
        print("no bill was made: pip cannot tell what it would install, see above")
        return 0
    text = JsonV1Dot6(bill).output_as_string(indent=2)
    problem = JsonStrictValidator(SchemaVersion.V1_6).validate_str(text)
    if problem is not None:
        print(f"the bill is none of CycloneDX 1.6: {problem}")
        return 1
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text + "\n", encoding="utf-8")
    print(f"{path}: {len(bill.components)} packages")
    return 0


def bill_of(packages: Sequence[Package]) -> Bom:
    """The bill of popoto and these packages."""
    needed = _always_needed({_name(each): each for each in packages})
    components = {_name(each): _component(each, needed) for each in packages}
    bill = Bom()
    for package in packages:
        component = components[_name(package)]
        if component.type is ComponentType.LIBRARY:
            bill.components.add(component)
        else:
            bill.metadata.component = component
        others = [components[name] for name in _needs(package) if name in components]
        bill.register_dependency(component, [each for each in others if each is not component])
    return bill


def _always_needed(packages: Mapping[str, Package]) -> set[str]:
    """Those that popoto needs without any extra."""
    found: set[str] = set()
    left = ["popoto"]
    while left:
        name = left.pop()
        if name in packages and name not in found:
            found.add(name)
            left += _needs({**packages[name], "requested_extras": ()})
    return found


def _component(package: Package, needed: set[str]) -> Component:
    metadata, download = package["metadata"], package["download_info"]
    name, version = str(metadata["name"]), str(metadata["version"])
    is_ours = "dir_info" in download
    purl = PackageURL("pypi", name=canonicalize_name(name), version=version)
    hashes = download.get("archive_info", {}).get("hashes", {})
    found = Component(
        type=ComponentType.APPLICATION if is_ours else ComponentType.LIBRARY,
        name=name,
        version=version,
        bom_ref=purl.to_string(),
        purl=purl,
        scope=ComponentScope.REQUIRED if _name(package) in needed else ComponentScope.OPTIONAL,
        description=metadata.get("summary"),
    )
    found.licenses.update(_licences(metadata))
    if not is_ours:
        found.external_references.add(
            ExternalReference(
                type=ExternalReferenceType.DISTRIBUTION,
                url=XsUri(download["url"]),
                hashes=[HashTypeFactory().from_hashlib_alg(each, hashes[each]) for each in hashes],
            )
        )
    return found


def _licences(metadata: dict[str, object]) -> Iterator[License]:
    """As the package tells it: an expression, a word, or classifiers. Whole texts are left out."""
    factory = LicenseFactory()
    expression, word = metadata.get("license_expression"), str(metadata.get("license") or "")
    classifiers = metadata.get("classifier")
    if isinstance(expression, str):
        yield factory.make_with_expression(expression)
    elif word and len(word) < 80 and "\n" not in word:
        yield factory.make_from_string(word)
    elif isinstance(classifiers, list):
        for each in classifiers:
            if found := re.fullmatch(r"License :: (?:OSI Approved :: )?(.+)", str(each)):
                yield factory.make_with_name(found[1])


def _needs(package: Package) -> Iterator[str]:
    asked = ["", *package.get("requested_extras", ())]
    for text in package["metadata"].get("requires_dist", ()):
        requirement = Requirement(text)
        marker = requirement.marker
        if marker is None or any(marker.evaluate({"extra": each}) for each in asked):
            yield canonicalize_name(requirement.name)


def _name(package: Package) -> str:
    return canonicalize_name(package["metadata"]["name"])


if __name__ == "__main__":
    sys.exit(main())
