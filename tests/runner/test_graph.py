"""Which stages cells have, which tasks make them, and in which order."""

from __future__ import annotations

from collections import Counter

import pytest

from benchsuite.runner.execute import passed_on
from benchsuite.runner.graph import graph_of, graphs_of, topological
from benchsuite.runner.task import planned_tasks
from benchsuite.scenario import load
from benchsuite.store import Key, Store

SCENARIO = """\
schema: 1
name: graph
phantom: {kind: core_shell, atoms: 13}
acquisition: {tilts: {range_deg: [-60, 60], count: 5}, scan: {step_A: 0.8, positions: [16, 16]}}
reconstructors:
  - wbp
  - {sirt: {preprocess: [background, denoise]}}
  - {refine: {use: lot, from: wbp}}
sweep: [{acquisition.dose_e_per_A2: [1e5, 1e6]}]
analysis: {species: [Cu, Au]}
"""


@pytest.fixture
def graphs(tmp_path):
    (tmp_path / "graph.yaml").write_text(SCENARIO)
    return graphs_of(load(tmp_path / "graph.yaml").cells)


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "store")


def put(store, key):
    with store.writing(key, {"code": {}}):
        pass


def test_stages_come_upstream_first_and_once(graphs):
    for graph in graphs:
        stages = graph.stages()
        places = {stage: number for number, stage in enumerate(stages)}
        assert len(places) == len({stage.key for stage in stages}) == len(stages)
        assert all(places[source] < places[stage] for stage in stages for source in stage.upstream())
    names = Counter(stage.name for stage in graphs[2].stages())
    assert names == {"phantom": 1, "image": 5, "series": 1, "reconstruction": 2, "atoms": 2, "match": 1, "scores": 1}


def test_what_is_stored_needs_nothing(graphs, store):
    first = graphs[0]
    put(store, first.series.key)
    missing = topological(first.goals, lambda stage: store.has(stage.key))
    assert {stage.name for stage in missing} == {"phantom", "reconstruction", "atoms", "match", "scores"}


def test_a_refinement_starts_from_the_atoms_that_its_own_cell_has(graphs):
    assert graphs[2].reconstruction.initial.key == graphs[0].atoms.key
    assert graphs[2].reconstruction.key != graph_of(graphs[2].cell.initial).reconstruction.key


def test_equal_experiments_share_the_series(graphs):
    assert graphs[0].series is graphs[1].series is graphs[2].series
    assert graphs[0].series is not graphs[3].series
    assert graphs[0].scores.match.truth is graphs[0].series.images[0].specimen


def by_title(planned):
    return {item.task.title: item for item in planned}


def test_shared_stages_have_one_task_and_tilts_are_dealt(graphs, store):
    planned = planned_tasks(graphs, store, workers=2)
    made = Counter(key for item in planned for key in item.task.stages)
    assert set(made.values()) == {1}
    shares = [item.task for item in planned if item.task.simulates]
    assert [len(share.stages) for share in shares] == [3, 2], "both doses share the images"
    counts = {"phantom": 1, "image": 2, "series": 2, "preprocessed_tilt": 4, "preprocessing": 4, "atoms": 2, "scores": 6}
    assert Counter(item.task.title.split()[0] for item in planned) == counts
    assert all(place < number for number, item in enumerate(planned) for place in item.after)
    assert [item.goal for item in planned if item.goal is not None] == [graphs[n] for n in (0, 1, 2, 3, 4, 5)]


def test_a_task_waits_for_what_makes_its_sources(graphs, store):
    planned = planned_tasks(graphs[:3], store, workers=2)
    titles = [item.task.title for item in planned]
    waits = {item.task.title: {titles[place] for place in item.after} for item in planned}
    assert waits["image 0000 1/2"] == {"phantom 0000"}
    assert waits["series 0000"] == {"image 0000 1/2", "image 0000 2/2"}
    refining = next(title for title in titles if title.startswith("scores 0002"))
    (atoms,) = [title for title in titles if title.startswith("atoms")]
    assert atoms in waits[refining]
    assert waits["scores 0000 WBP"] >= {atoms}


def test_tilts_that_are_stored_are_not_dealt(graphs, store):
    for image in graphs[0].series.images[:4]:
        put(store, image.key)
    planned = by_title(planned_tasks(graphs[:1], store, workers=2))
    assert planned["image 0000 1/1"].task.stages == (str(graphs[0].series.images[4].key),)


def test_nothing_but_the_scores_is_left_where_all_else_is_stored(graphs, store):
    for stage in graphs[1].stages()[:-1]:
        put(store, stage.key)
    (item,) = planned_tasks(graphs[1:2], store, workers=2)
    assert item.task.stages == (str(graphs[1].scores.key),)
    assert item.after == ()


def test_a_failure_is_blamed_on_the_reconstructor_whose_it_is(graphs, store):
    tasks = {item.task.title: item.task for item in planned_tasks(graphs, store, workers=1)}
    outcome = {"status": "error", "reason": "no such luck", "log": "lines"}
    shared = {**outcome, "label": tasks["series 0000"].label}
    assert passed_on(shared, tasks["scores 0000 WBP"]) == shared
    own = {**outcome, "label": next(task.label for title, task in tasks.items() if title.startswith("atoms"))}
    assert passed_on(own, tasks["scores 0000 WBP"])["reason"] == "no such luck"
    refining = next(task for title, task in tasks.items() if title.startswith("scores 0002"))
    blamed = passed_on(own, refining)
    assert blamed["reason"] == "WBP, whose atoms are refined: no such luck"
    assert (blamed["label"], blamed["log"]) == (refining.label, "lines")


def test_tasks_name_the_classes_that_they_need(graphs, store):
    tasks = by_title(planned_tasks(graphs[1:2], store, workers=1))
    needed = {("phantom", "core_shell"), ("reconstructor", "sirt"), ("preprocessing", "background"), ("preprocessing", "denoise")}
    needed |= {("metric", spec.name) for spec in graphs[1].scores.metrics}
    assert ("metric", "positions") in needed
    assert set(tasks["series 0001"].task.classes) == needed
    assert set(tasks["image 0001 1/1"].task.classes) == needed | {("simulator", "abtem")}


def test_keys_are_read_as_they_are_written(graphs):
    assert all(Key.parse(str(stage.key)) == stage.key for stage in graphs[0].stages())
