"""The command `jpai`. Each command is a few lines over the package; what is heavy is imported when it is needed."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from jpai_agent.assurance import audit_app, certify_app
from jpai_agent.endpoint import metrics, serve
from jpai_agent.keyring import keys_app
from jpai_agent.listening import EPILOG as VOICE_EPILOG
from jpai_agent.listening import voice
from jpai_agent.models import models_app
from jpai_agent.refusal import refused
from jpai_agent.saying import EPILOG as SAY_EPILOG
from jpai_agent.saying import say

app = typer.Typer(
    name="jpai", no_args_is_help=True, add_completion=False, rich_markup_mode="markdown", pretty_exceptions_enable=False,
    help="日本語で動くロボット: robots that understand Japanese and think on their own computer.",
    epilog="Exit codes: 0 done, 1 the robot or a check failed, 2 bad input, 3 no usable model.",
)

app.add_typer(audit_app, name="audit")
app.add_typer(certify_app, name="certify")
app.add_typer(models_app, name="models")
app.add_typer(keys_app, name="keys")
app.command(epilog="Example: jpai serve")(serve)
app.command(epilog="Example: jpai metrics")(metrics)
app.command(epilog=SAY_EPILOG)(say)
app.command(epilog=VOICE_EPILOG)(voice)


def _named(model: Path | None) -> Path | None:
    """The folder of a model that is given by the name under which it was added."""
    from jpai_agent.vlm.store import resolve

    return None if model is None else resolve(model)


World = Annotated[str, typer.Option(help="World to run in.")]
Seed = Annotated[int, typer.Option(help="Seed of the scene and of all noise.")]
Model = Annotated[Path | None, typer.Option(
    callback=_named, help="Model folder, a name of jpai models, or endpoint:NAME of the policy; the embedded one when left out.")]
Models = Annotated[list[Path] | None, typer.Option(
    "--model", callback=lambda models: [_named(model) for model in models or ()],
    help="As elsewhere; given several times, the models are compared on the suite (embedded: the embedded one).")]
Runs = Annotated[Path, typer.Option(help="Where run folders go.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON on standard output and nothing else there.")]


@app.command(epilog="Example: jpai demo --view")
def demo(world: World = "yard", model: Model = None, runs: Runs = Path("runs"),
         view: Annotated[bool, typer.Option(help="Show it live in MuJoCo's viewer (needs a display; without ROS).")] = False,
         video: Annotated[bool, typer.Option(help="Film the run afterwards.")] = True,
         voice: Annotated[bool, typer.Option("--voice", help="Say the instructions aloud: they are synthesised and heard, and "
                                                             "the film has them and the robot's answers.")] = False) -> None:
    """Watch a robot hear three instructions, rehearse and drive, through real ROS 2 nodes: the cart, or the car in town."""
    from jpai_agent.playing import check_model, new_run_folder
    from jpai_agent.world.known import robot_for

    try:
        robot_for(world)
    except ValueError as error:
        raise refused(str(error), 2) from error
    if view and voice:
        raise refused("--voice goes through ROS nodes, --view shows a run without them: leave one out", 2)
    _with_model(lambda: check_model(model))
    folder = new_run_folder(runs)
    if view:
        from jpai_agent.playing import ModelAgents, demo_episode, play, print_event

        play(demo_episode(world), ModelAgents(model), folder, film=video, view=True,
             tell=lambda event: print_event(event, typer.echo))
        well = True
    else:
        from jpai_agent.nodes.demo import demo as run_demo
        from jpai_agent.supervisor import GraphError
        from jpai_agent.voice.audio import AudioError
        from jpai_agent.voice.recogniser import RecogniserError

        try:
            well = run_demo(folder, world=world, model=str(model or ""), film=video, voice=voice, write=typer.echo)
        except (GraphError, AudioError) as error:
            raise refused(str(error), 1) from error
        except RecogniserError as error:
            raise refused(str(error), 3) from error
    typer.echo(f"記録: {folder}/summary.png" + (f"  {folder}/video.mp4" if video else ""))
    if not well:
        raise typer.Exit(1)


@app.command(epilog='Example: jpai run --seed 4 "赤い箱の手前まで行って" "戻って"')
def run(instructions: Annotated[list[str], typer.Argument(help="What is said, one after the other.")], world: World = "yard",
        seed: Seed = 1, model: Model = None, runs: Runs = Path("runs"), as_json: AsJson = False,
        video: Annotated[bool, typer.Option(help="Also film it.")] = False,
        view: Annotated[bool, typer.Option(help="Show it live in MuJoCo's viewer (needs a display).")] = False) -> None:
    """Say something to a simulated robot in this process, without ROS, faster than real time."""
    from jpai_agent.playing import ModelAgents, free_episode, new_run_folder, play, print_event

    try:
        episode = free_episode(world, seed, instructions)
    except ValueError as error:
        raise refused(str(error), 2) from error
    folder = new_run_folder(runs)
    write = (lambda line: None) if as_json else typer.echo
    result = _with_model(lambda: play(episode, ModelAgents(model), folder, film=video, view=view,
                                      tell=lambda event: print_event(event, write)))
    if as_json:
        typer.echo(json.dumps({"folder": str(folder), **result.to_dict()}, ensure_ascii=False))
    else:
        typer.echo(f"記録: {folder}")
    if result.error:
        raise refused(result.error, 1)


@app.command(epilog="Example: jpai chat --seed 4")
def chat(world: World = "yard", seed: Seed = 1, model: Model = None, runs: Runs = Path("runs"),
         view: Annotated[bool, typer.Option(help="Show it live in MuJoCo's viewer (needs a display).")] = False) -> None:
    """Type Japanese to a simulated robot, watch what it does, answer its questions. An empty line lets time pass."""
    from jpai_agent.playing import ModelAgents, check_model, converse, free_episode, new_run_folder

    try:
        episode = free_episode(world, seed, ["待機"], limit_s=3600.0)
    except ValueError as error:
        raise refused(str(error), 2) from error
    _with_model(lambda: check_model(model))
    folder = new_run_folder(runs)
    typer.echo("日本語で話しかけてください。何も入力せずに Enter を押すと時間が進みます。Ctrl-D で終わります。")
    _with_model(lambda: converse(episode, ModelAgents(model), folder, view=view, write=typer.echo))
    typer.echo(f"記録: {folder}")


@app.command(epilog='Example: jpai plan --image frame.png "次は青いコーンの前"')
def plan(instruction: Annotated[str, typer.Argument(help="What is said.")],
         image: Annotated[Path, typer.Option(help="A colour frame of the front camera.")], model: Model = None,
         robot: Annotated[str, typer.Option(help="Robot whose skills are meant; that of the world when left out.")] = "",
         world: Annotated[str, typer.Option(help="World whose places are meant; that of the robot when left out.")] = "",
         as_json: AsJson = False) -> None:
    """Ask the model for a plan, from one frame."""
    import cv2

    from jpai_agent.language import InstructionError, normalise, plan_reply
    from jpai_agent.outward import Accounts
    from jpai_agent.plan import PlanError, parse_plan
    from jpai_agent.skills import skills_for
    from jpai_agent.vlm import PlanRequest, load_backend
    from jpai_agent.world.known import WORLDS, robot_for
    from jpai_agent.world.map import load_map
    from jpai_agent.world.objects import KINDS, LANDMARKS

    pixels = cv2.imread(str(image), cv2.IMREAD_COLOR)
    if pixels is None:
        raise refused(f"{image} is no picture that can be read", 2)
    try:
        words = normalise(instruction).text
        world = world or WORLDS.get(robot, "yard")
        places, skills = load_map(world), skills_for(robot or robot_for(world))
    except InstructionError as error:
        raise refused(f"{error}\n{error.reply}", 2) from error
    except ValueError as error:
        raise refused(str(error), 2) from error
    names = {place.id: place.names for place in places.places}
    request = PlanRequest(words, {"front": cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB)}, robot or robot_for(world), places=names)
    answer = _with_model(lambda: load_backend(model, note=Accounts("jpai plan")).plan(request))
    try:
        # a landmark may be named that no map is here to have
        known = (*names, *(LANDMARKS if places.road is not None else ()))
        found = parse_plan(answer.text, skills, cameras=("front",), places=tuple(dict.fromkeys(known)))
    except PlanError as error:
        raise refused(f"the model's answer is no plan: {error}", 1) from error
    if as_json:
        typer.echo(found.to_json())
        return
    typer.echo(json.dumps(found.to_dict(), ensure_ascii=False, indent=2))
    called = {kind: KINDS[kind].names_ja[0] for kind in LANDMARKS} | {key: value[0] for key, value in names.items()}
    typer.echo(plan_reply(found, called, places.home, vehicle=places.road is not None))
    typer.echo("  ".join(f"{part} {ms:.0f} ms" for part, ms in answer.timings_ms.items()))


@app.command(epilog='Example: jpai rehearse --seed 4 plan.json')
def rehearse(plan_file: Annotated[Path, typer.Argument(help="A plan as JSON, whoever made it; - for standard input.")],
             world: World = "yard", seed: Seed = 1, rollouts: Annotated[int, typer.Option(help="How many.")] = 32,
             as_json: AsJson = False) -> None:
    """Rehearse a plan in the twin of a simulated scene and print the verdict. Exit code 1 when it does not pass."""
    from jpai_agent.playing import rehearse_plan

    try:
        text = sys.stdin.read() if str(plan_file) == "-" else plan_file.read_text(encoding="utf-8")
        verdict = rehearse_plan(text, world, seed, rollouts)
    except (OSError, ValueError) as error:
        raise refused(str(error), 2) from error
    values = {k: v for k, v in verdict.to_dict().items() if as_json or k not in ("paths", "swept")}
    typer.echo(json.dumps(values, ensure_ascii=False, indent=None if as_json else 2))
    if not verdict.passed:
        raise typer.Exit(1)


@app.command(epilog="Example: jpai bench --suite sim/suites/yard.jsonl --out bench/yard --jobs 2")
def bench(suite: Annotated[Path | None, typer.Option(help="Episodes, one JSON object a line.")] = None,
          out: Annotated[Path | None, typer.Option(help="Folder for results, runs and pictures of failures.")] = None,
          jobs: Annotated[int, typer.Option(help="Processes; threads of large.")] = 1,
          models: Models = None, as_json: AsJson = False,
          what: Annotated[str, typer.Option(
              help="episodes, faults, unsafe, crossing, model, fleet, conformance, engines, large, rehearsal, twin, simulation, "
                   "driving, stop, stopping, latency, network, voice.")] = "episodes",
          robot: Annotated[str, typer.Option(help="Whose rehearsal, way to stop or faults: cart or car.")] = "cart",
          seeds: Annotated[int, typer.Option(help="Of each fault.")] = 5,
          only: Annotated[list[str] | None, typer.Option(help="Only this fault; may be given several times.")] = None,
          n: Annotated[int, typer.Option(min=0, help="Plans of each sort, of unsafe and twin; yards of crossing; stops of stop, "
                                                     "stopping and latency; 0: as many as each has.")] = 0,
          idle: Annotated[bool, typer.Option(help="Time stop with the model and the twin at rest.")] = False,
          seed: Annotated[int, typer.Option(help="Of unsafe, crossing and twin.")] = 0,
          device: Annotated[str, typer.Option(help="Of large: cpu, or cuda for an accelerator.")] = "cpu") -> None:
    """Run a suite and print its table, or time a part and print its figures with the machine's description.

    With --model several times, the models side by side: quality, latency by part, tokens a second, memory; compare.json in --out.
    """
    from rich.console import Console

    from jpai_agent import benches

    if models and len(models) > 1:
        _compare(models, what, suite, out, jobs, as_json)
        return
    model = models[0] if models else None
    if what == "faults":
        from jpai_agent.nodes import faults

        chosen = [f"--only={name}" for name in only or ()]
        try:
            code = faults.main([f"--robot={robot}", f"--seeds={seeds}", *chosen, *(["--json"] if as_json else [])])
        except ValueError as error:
            raise refused(str(error), 2) from error
        raise typer.Exit(code)
    if what == "unsafe":
        from jpai_agent.sim.unsafe import run_unsafe, table

        try:
            figures = run_unsafe(robot, n or 300, seed, jobs=jobs)
        except ValueError as error:
            raise refused(str(error), 2) from error
        typer.echo(json.dumps(figures, ensure_ascii=False) if as_json else "\n".join(table(figures)))
        raise typer.Exit(1 if figures["unsafe"]["executed"] else 0)
    if what != "episodes":
        try:
            figures = _with_model(lambda: benches.run(what, model, robot, n, idle, seed=seed, jobs=jobs, device=device))
        except ValueError as error:
            raise refused(str(error), 2) from error
        typer.echo(json.dumps(figures, ensure_ascii=False, indent=None if as_json else 2))
        return
    if suite is None:
        raise refused("--suite FILE.jsonl is missing", 2)
    from jpai_agent.playing import ModelAgents, bench_log, check_model, failure, model_facts
    from jpai_agent.sim.bench import run_suite
    from jpai_agent.sim.episode import read_suite
    from jpai_agent.sim.report import print_summary

    console = Console(stderr=True)
    try:
        # what is wrong is said before any process starts
        read_suite(suite)
        _with_model(lambda: check_model(model))
        summary, results = _with_model(lambda: run_suite(
            suite, ModelAgents(model), out=out, jobs=jobs, model=model_facts(model), make_log=bench_log if out else None,
            failure_picture=failure if out else None, console=console))
    except (OSError, ValueError) as error:
        raise refused(str(error), 2) from error
    if as_json:
        typer.echo(json.dumps(summary, ensure_ascii=False))
    else:
        print_summary(summary, results, Console())


def _compare(models: list[Path], what: str, suite: Path | None, out: Path | None, jobs: int, as_json: bool) -> None:
    from rich.console import Console

    from jpai_agent.compare import compare, print_compared

    if what != "episodes" or suite is None:
        raise refused("several models are compared on a suite: --suite FILE.jsonl", 2)
    try:
        result = _with_model(lambda: compare(models, suite, out, jobs=jobs, console=Console(stderr=True)))
    except (OSError, ValueError) as error:
        raise refused(str(error), 2) from error
    if as_json:
        typer.echo(json.dumps(result, ensure_ascii=False))
    else:
        print_compared(result, Console())


@app.command()
def doctor(as_json: AsJson = False, model: Model = None) -> None:
    """Check the installation: versions, graphics, ROS, the model's files, and what would leave this machine."""
    from jpai_agent.doctor import examine

    report = examine(model)
    if as_json:
        typer.echo(json.dumps(report.to_dict(), ensure_ascii=False))
    else:
        for line in report.lines():
            typer.echo(line)
    if not report.well:
        raise typer.Exit(1)


@app.command(epilog="Example: jpai up yard --seed 3")
def up(what: Annotated[str, typer.Argument(metavar="[WORLD|robot]", help="World to simulate, or `robot`: a real one.")] = "yard",
       robot: Annotated[str, typer.Option(help="Robot; that of the world when left out.")] = "", seed: Seed = 1,
       model: Model = None, domain: Annotated[int | None, typer.Option(help="ROS domain id.")] = None,
       world: Annotated[str, typer.Option(help="With `robot`: where it works; the world of the robot when left out.")] = "",
       certificate: Annotated[Path | None, typer.Option(help="With `robot`: what it may be armed under; ROBOT.certificate.json "
                                                             "when left out.")] = None,
       model_server: Annotated[str, typer.Option(help="Ask the model server at this address, tcp://HOST:PORT, and start none; "
                                                      "beyond this machine with keys (jpai keys).")] = "",
       with_voice: Annotated[bool, typer.Option("--voice", help="With ears and a voice: microphone and loudspeaker.")] = False,
       ) -> None:
    """Start the ROS 2 graph with a simulated robot (the cart in the yard, the car in town), or on a real one; Ctrl-C stops it.

    A real robot needs a certificate for exactly what runs (jpai certify); then a person arms it: service /jpai/gate/arm.
    """
    from jpai_agent import supervisor
    from jpai_agent.playing import check_model
    from jpai_agent.record.certificate import CertificateError, permit
    from jpai_agent.vlm import default_model_dir
    from jpai_agent.vlm.keys import stays_here
    from jpai_agent.world.known import WORLDS, robot_for
    from jpai_agent.world.map import load_map
    from jpai_agent.world.robot import load_robot

    options: dict[str, Any] = {"seed": seed} | ({"model": str(model)} if model else {})
    options |= {"voice": {}, "speech": {}} if with_voice else {}
    try:
        if what == "robot":
            robot = robot or "cart"
            what = world or WORLDS.get(robot, "")
            options |= {"simulated": False, "certificate": str((certificate or Path(f"{robot}.certificate.json")).resolve())}
        load_map(what), load_robot(robot or robot_for(what))
        if model_server:
            stays_here(model_server)
            options["model_server"] = model_server
        else:
            _with_model(lambda: check_model(model))
        if "certificate" in options:
            permit(Path(options["certificate"]), robot, what, model or default_model_dir())
        code = supervisor.up(what, robot, domain_id=domain, tell=typer.echo, **options)
    except CertificateError as error:
        raise refused(str(error), 1) from error
    except ValueError as error:
        raise refused(str(error), 2) from error
    raise typer.Exit(code)


@app.command(context_settings={"allow_extra_args": True, "ignore_unknown_options": True}, add_help_option=False)
def train(context: typer.Context) -> None:
    """Make data for the embedded model, train, quantize and evaluate it (jpai train --help)."""
    from jpai_agent.train.cli import train as commands

    commands(context.args, prog_name="jpai train")


@app.command("test", context_settings={"ignore_unknown_options": True}, epilog="Example: jpai test test/gate -k latch")
def run_tests(
        arguments: Annotated[list[str] | None, typer.Argument(help="For pytest; all checks when left out.")] = None) -> None:
    """Run the project's checks: lint, import borders, types, unit tests, the ROS graph."""
    from jpai_agent.checks import run_checks

    raise typer.Exit(run_checks(arguments or ()))


def _with_model(work: Any) -> Any:
    from jpai_agent.vlm import VlmError

    try:
        return work()
    except VlmError as error:
        raise refused(f"{error}\n{error.reply}", 3) from error


def main() -> None:
    """Entry point of the command."""
    app()


if __name__ == "__main__":
    main()
