"""``fedtwin deploy``: the arguments of its subcommands, and what each calls."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from shared.runtime.terminal import report_errors


def main() -> None:
    """Run a subcommand; the exit status is 0 only if it did what was asked, or found nothing wrong."""
    options = _parser().parse_args()
    with report_errors():
        sys.exit(_COMMANDS[options.action](options))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="fedtwin deploy",
        description="Many machines: kits for a server and its sites, and what runs in them.",
    )
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    init = actions.add_parser("init", help="make authority, certificate, keys and kits from federation.yaml")
    init.add_argument("plan", type=Path, help="federation.yaml (see docs/deployment.md)")
    init.add_argument("--output", type=Path, help="a new folder (default: the federation's name)")
    add = actions.add_parser("add", help="make the kit of one more site")
    add.add_argument("site", help="its name")
    add.add_argument("--data-path", help="where its data will be, at the site")
    add.add_argument("--node-port", type=int, default=9094, help="a free port of its machine (9094)")
    revoke = actions.add_parser("revoke", help="take back a site's key")
    revoke.add_argument("site", help="its name")
    renew = actions.add_parser("renew", help="a new certificate for the server, or a new key for a site")
    renew.add_argument("site", nargs="?", help="its name; without one: the server's certificate")
    for action in (add, revoke, renew):
        action.add_argument("--folder", type=Path, default=Path(), help="of the deployment (.)")
    check = actions.add_parser("check", help="at a site: is everything in order? each finding with its fix")
    check.add_argument("--format", choices=["table", "json"], default="table")
    check.add_argument(
        "--decode", action="store_true", help="also read every image, which the first round needs anyway"
    )
    start = actions.add_parser("start", help="run a kit until Ctrl-C, and start again what ends")
    start.add_argument(
        "--no-resume",
        action="store_true",
        help="on the server: leave interrupted runs to `fedtwin resume`",
    )
    register = actions.add_parser("register", help="on the server: let the SuperLink know the keys in the kit")
    health = actions.add_parser("health", help="whether what a kit runs is up; for containers")
    demo = actions.add_parser(
        "demo", help="a server and three sites on this machine, in namespaces if permitted"
    )
    demo.add_argument("--data", help="a ZIP, a folder or an .npz (default: the built-in digits)")
    demo.add_argument("--rounds", type=int, default=3, help="server rounds (3)")
    demo.add_argument("--keep", type=Path, help="a new folder that keeps kits, data and logs")
    demo.add_argument("--loopback", action="store_true", help="make no network namespaces, even if permitted")
    demo.add_argument(
        "--prepare", type=Path, metavar="FOLDER", help="only make data and kits there, for containers"
    )
    demo.add_argument(
        "--address", default="server", help="with --prepare: where sites find the server (server)"
    )
    demo.add_argument("--run", type=Path, metavar="FOLDER", help="only begin the run of a prepared folder")
    demo.add_argument("overrides", nargs="*", help="further settings of the run, such as model=resnet18")
    for action in (check, start, register, health):
        action.add_argument("kit", type=Path, nargs="?", default=Path(), help="its folder (.)")
    return parser


def _init(options: argparse.Namespace) -> int:
    from federated.kit.deployment import Deployment
    from federated.kit.federation_file import read_federation_file

    plan = read_federation_file(options.plan)
    _show(Deployment.create(plan, folder=options.output or Path(plan.name)))
    return 0


def _add(options: argparse.Namespace) -> int:
    from federated.kit.deployment import Deployment
    from federated.kit.federation_file import new_site

    deployment = Deployment(options.folder)
    deployment.add(new_site(options.site, data_path=options.data_path, node_port=options.node_port))
    _show(deployment, options.site)
    return 0


def _revoke(options: argparse.Namespace) -> int:
    from federated.kit.deployment import Deployment

    deployment = Deployment(options.folder)
    deployment.revoke(options.site)
    print(f"{options.site} is revoked here; its key is rejected as soon as the server has the new kit:")
    _show(deployment, "server")
    return 0


def _renew(options: argparse.Namespace) -> int:
    from federated.kit.deployment import Deployment

    deployment = Deployment(options.folder)
    if options.site is None:
        deployment.renew_server()
        print("the server has a new certificate, which counts from its next start; the sites need nothing")
        _show(deployment, "server")
    else:
        deployment.renew_site(options.site)
        print(f"{options.site} has a new key; the old one is rejected as soon as the server has the new kit")
        _show(deployment, "server", options.site)
    return 0


def _check(options: argparse.Namespace) -> int:
    from federated.deploy.preflight.check import check_site
    from shared.runtime.findings import show

    findings = check_site(options.kit, decode=options.decode)
    bad = "to fix before this site can take part"
    show(findings, good="this site can take part", bad=bad, as_json=options.format == "json")
    return 1 if any(finding.state == "failed" for finding in findings) else 0


def _start(options: argparse.Namespace) -> int:
    from federated.deploy.run.start import start

    try:
        start(options.kit, resume=not options.no_resume)
    except KeyboardInterrupt:
        print("stopped", file=sys.stderr)
        return 130
    return 0


def _register(options: argparse.Namespace) -> int:
    from federated.deploy.run.node_registration import register
    from federated.kit.server_kit import ServerKit

    changes = register(ServerKit(options.kit))
    print(f"registered: {', '.join(changes.added) or 'none'}; removed: {', '.join(changes.removed) or 'none'}")
    return 0


def _health(options: argparse.Namespace) -> int:
    from federated.deploy.run.health import healthy

    well, text = healthy(options.kit)
    print(text)
    return 0 if well else 1


def _demo(options: argparse.Namespace) -> int:
    from federated.deploy.demo.data import prepare, run_prepared
    from federated.deploy.demo.demo import demo

    data, rounds, more = options.data or None, options.rounds, options.overrides
    if options.run:
        run_prepared(options.run)
    if options.prepare:
        prepare(options.prepare, data=data, rounds=rounds, address=options.address, overrides=more)
        return 0
    try:
        demo(data=data, rounds=rounds, overrides=more, keep=options.keep, loopback=options.loopback)
    except KeyboardInterrupt:
        print("stopped; everything that was started has ended", file=sys.stderr)
        return 130
    return 0


def _show(deployment: object, *only: str) -> None:
    from federated.kit.deployment import Deployment

    assert isinstance(deployment, Deployment)
    print(f"deployment  {deployment.folder}   (ca/ca.key stays here: keep this folder, and keep it secret)")
    for who, archive in deployment.archives().items():
        if not only or who in only:
            digest = archive.with_name(f"{archive.name}.sha256").read_text().split()[0]
            print(f"{who:<11} {archive}\n            sha256 {digest}")


_COMMANDS = {
    "init": _init,
    "add": _add,
    "revoke": _revoke,
    "renew": _renew,
    "check": _check,
    "start": _start,
    "register": _register,
    "health": _health,
    "demo": _demo,
}
