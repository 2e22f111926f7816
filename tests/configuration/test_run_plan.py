"""The plan of runs, worked out by hand from the published method."""

import pytest
from msgspec import structs

from cotrain.configuration.names import BASELINE, BASELINE_B, FINAL, UPPER_BOUND, Labelling, ModelName
from cotrain.configuration.run_plan import Accumulated, RunPlan

PORTION = {"initial": 0.2, "maximum": 0.35, "increment": 0.1}
PORTION_A = {"initial": 0.5, "maximum": 0.6, "increment": 0.2}
PORTION_B = {"initial": 0.4, "maximum": 0.8, "increment": 0.3}
OWN_NETWORK = {"name": "my.networks:make"}


@pytest.fixture
def plan(make_plan) -> RunPlan:
    """Three rounds and two cycles whose stages all differ."""
    return make_plan(
        self_training={"rounds": 3, "relabel_rounds": 2, "portion": PORTION, "images_per_round": 300},
        co_training={
            **{"cycles": 2, "round_a": 1, "relabel_cycles": 1, "fill": "subtract", "every": 3},
            **{"portion_a": PORTION_A, "portion_b": PORTION_B},
        },
    )


def parents(plan: RunPlan) -> dict[str, str | None]:
    return {str(model): str(plan.parent(model)) if plan.parent(model) else None for model in plan.models}


def test_models_come_in_the_order_in_which_they_are_made(plan, make_plan):
    names = ["baseline", "self_training/00", "self_training/01", "self_training/02"]
    names += ["co_training/00/a", "co_training/00/b", "co_training/01/a", "co_training/01/b", "final"]
    assert [str(model) for model in plan.models] == names
    with_bound = make_plan(
        upper_bound=True,
        target="camera_test",
        test="second_test",
        datasets={"second_test": plan_entry(make_plan)},
    )
    assert with_bound.models[-1] == UPPER_BOUND


def plan_entry(make_plan):
    entry = make_plan().configuration.datasets["camera_test"]
    return {"layout": "lists", "images": entry.images, "labels": entry.labels, "classes": entry.classes}


def test_teachers(plan):
    teachers = {str(step): str(plan.teacher(step)) for step in plan.steps}
    assert teachers == {
        "self_training/00": "baseline",
        "self_training/01": "self_training/00",
        "self_training/02": "self_training/01",
        # The branches begin with the rounds that the configuration names; round_b: -1 is the last.
        "co_training/00/a": "self_training/01",
        "co_training/00/b": "self_training/02",
        "co_training/01/a": "co_training/00/a",
        "co_training/01/b": "co_training/00/b",
    }


def test_trainings_start_as_published(plan):
    assert parents(plan) == {
        "baseline": None,
        **dict.fromkeys(["self_training/00", "self_training/01", "self_training/02"], "baseline"),
        **{"co_training/00/a": "self_training/01", "co_training/00/b": "self_training/02"},
        **{"co_training/01/a": "self_training/01", "co_training/01/b": "self_training/02"},
        "final": "baseline",
    }


def test_trainings_start_from_the_model_before(make_plan):
    plan = make_plan(
        self_training={"rounds": 2, "initial_weights": "previous"},
        co_training={"cycles": 2, "initial_weights": "previous"},
        final={"initial_weights": "co_training/01/b"},
    )
    assert parents(plan) == {
        "baseline": None,
        **{"self_training/00": "baseline", "self_training/01": "self_training/00"},
        **{"co_training/00/a": "self_training/00", "co_training/00/b": "self_training/01"},
        **{"co_training/01/a": "co_training/00/a", "co_training/01/b": "co_training/00/b"},
        "final": "co_training/01/b",
    }


@pytest.mark.parametrize(
    ("choice", "second"), [("branch_start", "baseline_b"), ("previous", "co_training/00/b")]
)
def test_a_network_of_branch_b_has_a_baseline_of_its_own(make_plan, choice, second):
    plan = make_plan(
        self_training={"rounds": 2},
        co_training={"cycles": 2, "initial_weights": choice, "network_b": OWN_NETWORK},
    )
    of_b = {name: parent for name, parent in parents(plan).items() if name.endswith("b")}
    assert of_b == {"baseline_b": None, "co_training/00/b": "baseline_b", "co_training/01/b": second}
    assert [str(model) for model in plan.models][:3] == ["baseline", "baseline_b", "self_training/00"]
    # It learns from the same source images with the same settings, but for its network.
    one, other = (plan.training_settings(name) for name in ("baseline", "baseline_b"))
    assert one == structs.replace(other, network=one.network)
    assert other.network.name == "my.networks:make"
    assert plan.labellers(BASELINE_B) == []
    assert parents(plan)["co_training/00/a"] == "self_training/00"
    a, b = (ModelName("co_training", 1, branch) for branch in "ab")
    assert (plan.network(a).name, plan.network(b).name) == ("deeplabv3plus", "my.networks:make")
    assert [plan.settings_name(model) for model in (a, b, FINAL)] == ["co_training", "co_training_b", "final"]
    assert plan.training_settings("co_training_b").network.name == "my.networks:make"
    assert plan.training_settings("co_training").network.name == "deeplabv3plus"
    # Its labels still come from the round.
    assert plan.teacher(ModelName("co_training", 0, "b")) == ModelName("self_training", 1)


def test_a_source_of_branch_b(make_plan, tmp_path):
    lists = {"layout": "streets", "look": "camera", "images": 5}
    plan = make_plan(
        datasets={"more": lists | {"seed": 8}, "most": lists | {"seed": 9}},
        self_training={"rounds": 2},
        co_training={"cycles": 1, "source_b": ["more", "most"]},
        prediction={"calibration_images": 2},
        final={"initial_weights": "co_training/00/b"},
    )
    own, source = ("more", "most"), plan.configuration.source
    assert {str(model): plan.sources(model) for model in plan.models} == {
        **{"baseline": source, "baseline_b": own, "self_training/00": source, "self_training/01": source},
        **{"co_training/00/a": source, "co_training/00/b": own, "final": source},
    }
    assert plan.source_datasets == [*source, *own]
    assert {*own} < {*plan.labelled_datasets}
    # It has the same network and settings as branch a, but begins with its own baseline.
    assert {name: parent for name, parent in parents(plan).items() if name.endswith(("b", "a"))} == {
        **{"baseline_b": None, "co_training/00/a": "self_training/00", "co_training/00/b": "baseline_b"},
    }
    assert [plan.settings_name(model) for model in plan.models[-3:-1]] == ["co_training", "co_training"]
    assert plan.first_networks == {"network": "baseline"}
    calibrated = {
        amount.what.removeprefix("calibrate "): amount.number
        for amount in plan.work().labellings
        if "calibrate" in amount.what
    }
    assert calibrated["co_training/00/a"] == 2 * len(source)
    assert calibrated["co_training/00/b"] == calibrated["baseline_b"] == 4
    # Where no baseline is trained, branch b starts from its round.
    file = tmp_path / "w.safetensors"
    file.write_bytes(b"\x02\0\0\0\0\0\0\0{}")
    plan = make_plan(
        datasets={"more": lists | {"seed": 8}},
        baseline={"initial_weights": str(file), "iterations": 0},
        co_training={"source_b": ["more"]},
    )
    assert BASELINE_B not in plan.models
    assert parents(plan)["co_training/00/b"] == "self_training/09"


@pytest.mark.parametrize("own", [{"source_b": ["more"]}, {"network_b": OWN_NETWORK}])
def test_unlike_branches_may_begin_with_the_same_round(own, make_plan):
    """Both with the last one: it labels for both, and the weights of only branch a come from it."""
    plan = make_plan(
        datasets={"more": {"layout": "streets", "look": "camera", "images": 5}},
        self_training={"rounds": 3},
        co_training={"round_a": -1, "round_b": -1} | own,
    )
    branches = [ModelName("co_training", 0, branch) for branch in "ab"]
    assert [str(plan.teacher(branch)) for branch in branches] == ["self_training/02"] * 2
    assert [str(plan.parent(branch)) for branch in branches] == ["self_training/02", "baseline_b"]


def test_the_baseline_may_start_from_a_file(make_plan, tmp_path):
    file = tmp_path / "w.safetensors"
    # No tensor at all.
    file.write_bytes(b"\x02\0\0\0\0\0\0\0{}")
    assert make_plan().initial_file(BASELINE) is None
    plan = make_plan(baseline={"initial_weights": str(file)}, network={"backbone_weights": str(file)})
    assert plan.initial_file(BASELINE) == str(file)
    # Then no backbone's first weights are read.
    assert plan.backbone_file(BASELINE) is None
    plan = make_plan(network={"backbone_weights": str(file)})
    assert plan.backbone_file(BASELINE) == str(file)
    assert plan.backbone_file(FINAL) is None


def test_networks_that_are_built_before_anything_is_trained(make_plan, tmp_path):
    """Every network that starts from no other model of the run, each once."""
    file = tmp_path / "w.safetensors"
    file.write_bytes(b"\x02\0\0\0\0\0\0\0{}")
    only = {"network": "baseline"}
    assert make_plan().first_networks == only
    assert make_plan(network={"backbone_weights": "timm"}).first_networks == only
    assert make_plan(network={"backbone_weights": str(file)}).first_networks == only
    assert make_plan(network=OWN_NETWORK).first_networks == only
    assert make_plan(baseline={"initial_weights": str(file)}).first_networks == only
    branch_b = {"network_b": OWN_NETWORK}
    assert make_plan(co_training=branch_b).first_networks == only | {"co_training.network_b": "baseline_b"}
    # A baseline that is taken as it is teaches no other network: branch b starts from its first weights.
    as_it_is = {"initial_weights": str(file), "iterations": 0}
    plan = make_plan(co_training=branch_b, baseline=as_it_is)
    assert plan.first_networks == only | {"co_training.network_b": "co_training_b"}
    assert parents(plan)["co_training/00/b"] is None
    assert BASELINE_B not in plan.models


def test_what_a_run_keeps_of_its_models(make_plan):
    plan = make_plan(
        self_training={"rounds": 2},
        co_training={"cycles": 1, "round_a": 0, "round_b": 1, "network_b": OWN_NETWORK},
    )
    assert plan.storage().models == {
        **{"baseline": "network", "baseline_b": "co_training.network_b"},
        **{"self_training/00": "network", "self_training/01": "network"},
        **{"co_training/00/a": "network", "co_training/00/b": "co_training.network_b", "final": "network"},
    }

    def kept(**training):
        storage = make_plan(training=training).storage()
        return storage.averages, storage.optimiser_values

    assert kept() == (False, 1)
    assert kept(average_decay=0.9, momentum=0.0) == (True, 0)
    assert kept(optimiser="adamw", momentum=0.0) == (False, 2)


def test_what_a_labelling_is_made_from(plan):
    predicted = {
        name: "{}/{}".format(*plan.predicted(Labelling.parse(name)))
        for name in [
            "self_training/00",
            "self_training/02",
            "self_training/00/relabelled",
            "co_training/00/b",
            "co_training/01/a",
            "co_training/00/a/relabelled",
            "ensemble/a",
            "ensemble/b",
        ]
    }
    assert predicted == {
        "self_training/00": "baseline/subset/self_training/00",
        "self_training/02": "self_training/01/subset/self_training/02",
        "self_training/00/relabelled": "self_training/00/accumulated",
        "co_training/00/b": "self_training/02/subset/co_training/00/b",
        "co_training/01/a": "co_training/00/a/subset/co_training/01/a",
        "co_training/00/a/relabelled": "co_training/00/a/accumulated",
        "ensemble/a": "co_training/01/a/target",
        "ensemble/b": "co_training/01/b/target",
    }


def test_portions_rise_to_their_maximum(plan):
    portions = {
        name: plan.portion(Labelling.parse(name))
        for name in [
            "self_training/00",
            "self_training/01",
            "self_training/02",
            "self_training/01/relabelled",
            "co_training/00/a",
            "co_training/01/a",
            "co_training/00/b",
            "co_training/01/b",
            "ensemble/a",
            "ensemble/b",
        ]
    }
    assert portions == {
        "self_training/00": [0.2],
        "self_training/01": [pytest.approx(0.3)],
        "self_training/02": [0.35],
        "self_training/01/relabelled": [pytest.approx(0.3)],
        "co_training/00/a": [0.5],
        "co_training/01/a": [0.6],
        "co_training/00/b": [0.4],
        "co_training/01/b": [0.7],
        # The models of the last cycle make them.
        "ensemble/a": [0.6],
        "ensemble/b": [0.7],
    }


def test_portions_for_each_class(make_plan):
    shares = [0.1 * (1 + number % 5) for number in range(19)]
    plan = make_plan(self_training={"portion": {"initial": shares, "increment": 0.1, "maximum": 0.4}})
    assert plan.portion(Labelling.parse("self_training/00")) == shares
    second = [min(share + 0.1, 0.4) for share in shares]
    assert plan.portion(Labelling.parse("self_training/01")) == pytest.approx(second)


def test_bounds_of_thresholds(plan):
    bounds = {
        name: plan.confidence_bounds(Labelling.parse(name))
        for name in ("self_training/01/relabelled", "ensemble/a")
    }
    assert {name: (pair.lower, pair.upper) for name, pair in bounds.items()} == {
        "self_training/01/relabelled": (0.5, 0.9),
        "ensemble/a": (0.5, 0.95),
    }


def test_subsets_are_drawn_by_the_published_seeds(plan):
    draws = {str(step): plan.subset_draw(step) for step in plan.steps}
    assert {name: draw.seed for name, draw in draws.items()} == {
        **{"self_training/00": 100, "self_training/01": 101, "self_training/02": 103},
        # Both branches see the same images.
        **{
            "co_training/00/a": 100,
            "co_training/00/b": 100,
            "co_training/01/a": 101,
            "co_training/01/b": 101,
        },
    }
    assert draws["self_training/01"][::2] == (300, 1)
    assert draws["co_training/01/b"][::2] == (500, 3)


def test_labels_accumulate_on_those_made_again(plan):
    assert {str(step): plan.accumulated_before(step) for step in plan.steps} == {
        "self_training/00": None,
        "self_training/01": Accumulated(ModelName("self_training", 0), True),
        "self_training/02": Accumulated(ModelName("self_training", 1), True),
        "co_training/00/a": None,
        "co_training/00/b": None,
        "co_training/01/a": Accumulated(ModelName("co_training", 0, "a"), True),
        "co_training/01/b": Accumulated(ModelName("co_training", 0, "b"), True),
    }


def test_nothing_is_labelled_again_after_the_last_step_or_without_accumulation(make_plan):
    plan = make_plan(
        self_training={"rounds": 2, "relabel_rounds": 9}, co_training={"cycles": 2, "accumulation": "none"}
    )
    assert [str(step) for step in plan.steps if plan.is_relabelled(step)] == ["self_training/00"]
    assert all(plan.accumulated_before(step) is None for step in plan.branch_steps)


def test_branches_fill_each_other_from_the_second_cycle_on(plan):
    assert [plan.fill(cycle) for cycle in (0, 1, 2)] == ["none", "subtract", "subtract"]


def test_a_second_view_is_labelled_by_branch_b_only(make_plan):
    plan = make_plan(co_training={"same_domain": False, "target_b": "second_camera"})
    datasets = {str(step): plan.target_dataset(step) for step in plan.steps}
    assert {name for name, dataset in datasets.items() if dataset == "second_camera"} == {
        f"co_training/{cycle:02d}/b" for cycle in range(5)
    }
    assert plan.target_datasets == ["camera", "second_camera"]
    assert plan.labelled_datasets == ["camera_test", "game"]
    assert plan.datasets == ["camera", "camera_test", "game", "second_camera"]


def test_thresholds_are_needed_where_classes_are_mixed_on_demand(make_plan):
    plan = make_plan(co_training={"class_mixing": "plain", "cycles": 1}, self_training={"rounds": 2})
    needing = [str(model) for model in plan.models if plan.needs_thresholds(model)]
    assert needing == ["self_training/00", "self_training/01"]


def test_the_upper_bound_is_trained_like_the_final_model_but_has_no_thresholds(make_plan):
    datasets = {"second_test": plan_entry(make_plan)}
    bounded = {"upper_bound": True, "target": "camera_test", "test": "second_test", "datasets": datasets}
    plan = make_plan(**bounded, final={"class_mixing": "on_demand", "iterations": 12})
    assert [plan.needs_thresholds(model) for model in (BASELINE, FINAL, UPPER_BOUND)] == [False, True, False]
    final, bound = (plan.training_settings(name) for name in ("final", "upper_bound"))
    assert (final.class_mixing, bound.class_mixing) == ("on_demand", "plain")
    assert structs.replace(bound, class_mixing="on_demand", iterations=12) == final
    for mixing in ("plain", "none"):
        bound = make_plan(**bounded, final={"class_mixing": mixing}).training_settings("upper_bound")
        assert bound.class_mixing == mixing


def test_the_upper_bound_goes_from_the_baseline_as_far_as_the_chain_does(make_plan):
    plan = make_plan(
        upper_bound=True,
        target="camera_test",
        test="second_test",
        datasets={"second_test": plan_entry(make_plan)},
        self_training={"rounds": 3, "iterations": 30},
        co_training={"cycles": 2, "iterations": 7},
        final={"iterations": 12, "initial_weights": "co_training/01/b"},
    )
    assert plan.parent(UPPER_BOUND) == BASELINE
    # 3 · 30 + 2 · 7 + 12
    assert plan.training_settings("upper_bound").iterations == 116


def test_settings_of_each_stage(make_plan):
    plan = make_plan(
        seed=7,
        precision="float32",
        training={"poly_power": 0.7, "save_every_iterations": 3, "batch_size": 4},
        baseline={"iterations": 11, "hard_pixel_share": 0.3},
        self_training={"iterations": 12, "hard_pixel_share": 0.4, "batch_ratio": [1, 3]},
        final={"iterations": 13, "class_mixing": "plain"},
    )
    baseline, rounds, final = (
        plan.training_settings(name) for name in ("baseline", "self_training", "final")
    )
    assert (baseline.iterations, baseline.hard_pixel_share, baseline.batch_ratio) == (11, 0.3, None)
    assert (baseline.seed, baseline.precision, baseline.poly_power) == (7, "float32", 0.7)
    assert (rounds.iterations, rounds.hard_pixel_share, rounds.batch_ratio) == (12, 0.4, (1, 3))
    assert (baseline.class_mixing, rounds.class_mixing, final.class_mixing) == ("none", "on_demand", "plain")
    assert final.iterations == 13
    # How often it saves changes nothing that is learnt.
    assert not hasattr(baseline, "save_every_iterations")


def test_test_images_follow_the_protocol(make_plan):
    plan = make_plan(
        prediction={"batch_size": 3, "flip": True, "scales": [0.5, 1.0], "class_balance": 0.3},
        evaluation={"protocol": {"flip": False}},
    )
    prediction, evaluation = plan.prediction_settings(), plan.evaluation_settings()
    assert (prediction.flip, prediction.scales, prediction.batch_size) == (True, (0.5, 1.0), 3)
    assert (evaluation.flip, evaluation.scales, evaluation.batch_size) == (False, (0.5, 1.0), 3)
    # Scores are those of what a user gets.
    assert (prediction.class_balance, evaluation.class_balance) == (0.3, 0)


def test_all_the_work_of_a_run(make_plan):
    plan = make_plan(
        self_training={"rounds": 2, "iterations": 5, "images_per_round": -1, "keep": 10, "relabel_rounds": 1},
        co_training={"cycles": 1, "iterations": 6, "images_per_cycle": 70, "keep": 20},
        baseline={"iterations": 4},
        final={"iterations": 7},
        prediction={"calibration_images": 3},
        report={"sample_images": 12},
    )
    work = plan.work()
    assert [(amount.what, amount.number, amount.settings_name) for amount in work.trainings] == [
        ("baseline", 4, "baseline"),
        ("self_training/00", 5, "self_training"),
        ("self_training/01", 5, "self_training"),
        ("co_training/00/a", 6, "co_training"),
        ("co_training/00/b", 6, "co_training"),
        ("final", 7, "final"),
    ]
    labellings = {amount.what: amount.number for amount in work.labellings}
    assert labellings == {
        **{f"score {model}": -1 for model in plan.models},
        "label for self_training/00": -1,
        "label again after self_training/00": 10,
        "label for self_training/01": -1,
        "label for co_training/00/a": 70,
        "label for co_training/00/b": 70,
        "ensemble, branch a": -1,
        "ensemble, branch b": -1,
        **{f"calibrate {model}": 3 for model in plan.models},
        **{f"sample by {model}": 12 for model in plan.models},
    }
    settings = {amount.what: amount.settings_name for amount in work.labellings}
    # Who labels decides how fast.
    assert settings["label for self_training/00"] == "baseline"
    assert settings["label for co_training/00/a"] == "self_training"


def test_a_run_without_a_test_set_makes_the_same_models_and_scores_none(make_plan):
    plan, scored = make_plan(test=None), make_plan()
    assert plan.models == scored.models
    assert (plan.labelled_datasets, plan.datasets) == (["game"], ["camera", "game"])
    assert plan.work().trainings == scored.work().trainings
    # Of each model that is scored, some predictions are kept.
    assert scored.storage().test_sample_models == len(scored.models)
    assert plan.storage() == structs.replace(scored.storage(), test_sample_models=0)
    left_out = set(scored.work().labellings) - set(plan.work().labellings)
    assert {amount.what for amount in left_out} == {f"score {model}" for model in scored.models}


def test_a_verdict_knows_who_came_before_and_who_labelled(make_plan):
    def health(collaboration):
        plan = make_plan(
            self_training={"rounds": 2, "hard_pixel_share": 0.7, "ranking": "void_pixels"},
            co_training={"cycles": 2, "round_a": 0, "collaboration": collaboration},
            final={"class_mixing": "plain", "initial_weights": "self_training/01"},
            training={"rare_class_sampling": {"enabled": True}},
        )
        return plan.health()

    exchanged = health("exchange")
    rounds = {"self_training/00": ("baseline",), "self_training/01": ("self_training/00",)}
    assert exchanged.before == {
        **rounds,
        **{"co_training/00/a": ("self_training/00",), "co_training/00/b": ("self_training/01",)},
        **{"co_training/01/a": ("co_training/00/a",), "co_training/01/b": ("co_training/00/b",)},
        "final": ("co_training/01/a", "co_training/01/b"),
    }
    # Each branch learns from the labels of the other.
    assert exchanged.labellers == {
        **rounds,
        **{"co_training/00/a": ("self_training/01",), "co_training/00/b": ("self_training/00",)},
        **{"co_training/01/a": ("co_training/00/b",), "co_training/01/b": ("co_training/00/a",)},
        "final": ("co_training/01/a", "co_training/01/b"),
    }
    assert health("own").labellers == health("own").before
    assert health("both").labellers["co_training/01/b"] == ("co_training/00/a", "co_training/00/b")
    assert exchanged.rankings["self_training"] == "void_pixels"
    assert exchanged.hard_pixel_shares["self_training"] == 0.7
    assert (exchanged.final_mixing, exchanged.final_initial_weights) == ("plain", "self_training/01")
    assert exchanged.final_labels == "ensemble"
    assert exchanged.rare_class_sampling


def test_choices_of_the_labelling_steps(make_plan):
    plan = make_plan(
        self_training={"rounds": 2, "accumulation": "all", "ranking": "class_count"},
        co_training={
            **{"keep": 70, "min_pixels": 9, "ranking": "confidence_gain", "collaboration": "both"},
            **{"fill": "subtract", "confidence": {"lower": 0.2, "upper": 0.8}},
        },
    )
    assert plan.threshold_choices(Labelling.parse("co_training/00/b"))._asdict() == {
        **{"portion": [0.5], "lower": 0.2, "upper": 0.8}
    }
    assert plan.exchange_choices(1)._asdict() == {
        **{"fill": "subtract", "min_pixels": 9, "ranking": "confidence_gain", "collaboration": "both"},
        **{"keep": 70, "cycle": 1},
    }
    first = {"accumulation": "all", "ranking": "class_count", "step": "01"}
    assert plan.accumulation_choices(ModelName("self_training", 1))._asdict() == first
    second = {"accumulation": "best_score", "ranking": "confidence_gain", "step": "00"}
    assert plan.accumulation_choices(ModelName("co_training", 0, "a"))._asdict() == second


def test_the_network_of_each_branch_and_whose_code_it_runs(make_plan):
    branch_b = ModelName.parse("co_training/01/b")
    of_timm = make_plan()
    assert (of_timm.own_code(BASELINE), of_timm.network_key(branch_b)) == (None, "network")
    plan = make_plan(co_training={"network_b": OWN_NETWORK})
    assert (plan.own_code(branch_b), plan.network_key(branch_b)) == (
        "my.networks:make",
        "co_training.network_b",
    )
    assert (plan.own_code(BASELINE), plan.network_key(BASELINE)) == (None, "network")
