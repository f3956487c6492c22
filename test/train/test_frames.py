"""Rendered shards: complete, resumable, the same for the same seed, with labels that lie on their objects."""

import json

import numpy as np
import pytest

from jpai_agent.train.frames import load_shard, make_frames, shard_paths


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    out = tmp_path_factory.mktemp("frames")
    make_frames(out, 5, seed=4, shard_frames=3)
    return out


def test_frames_are_cut_into_shards_of_the_asked_size(folder):
    shards = [load_shard(path) for path in shard_paths(folder)]
    assert [len(s) for s in shards] == [3, 2]
    assert shards[0].frames.shape == (3, 192, 320, 3)
    assert shards[0].frames.dtype == np.uint8


def test_points_lie_in_the_box_of_what_is_visible(folder):
    for path in shard_paths(folder):
        shard = load_shard(path)
        for i in range(len(shard)):
            for thing in shard.record(i).objects:
                if not thing.hidden:
                    (x, y), (x0, y0, x1, y1) = thing.point, thing.box
                    assert x0 - 2 <= x <= x1 + 2
                    assert y0 - 2 <= y <= y1 + 2


def test_cells_name_the_object_that_they_show_and_where_its_point_is(folder):
    shard = load_shard(shard_paths(folder)[0])
    frame, row, column = np.argwhere(shard.cell_object >= 0)[0]
    index = shard.cell_object[frame, row, column]
    assert shard.cell_kind[frame, row, column] == shard.kind[frame, index]
    assert shard.cell_color[frame, row, column] == shard.color[frame, index]
    at = np.array([column + 0.5, row + 0.5]) + shard.cell_offset[frame, row, column]
    assert np.allclose(at / [20, 12] * 1000, shard.point[frame, index], atol=0.5)
    assert shard.cell_kind[shard.cell_object < 0].max() == -1


def test_the_scene_is_kept_as_an_episode_would_have_it(folder):
    shard = load_shard(shard_paths(folder)[0])
    assert len(json.loads(shard.scenes[0])["objects"]) == (shard.kind[0] >= 0).sum()


def test_a_broken_run_goes_on_where_it_was(folder, tmp_path):
    first, second = shard_paths(make_frames(tmp_path, 3, seed=4, shard_frames=3)[0].parent), shard_paths(folder)
    assert np.array_equal(load_shard(first[0]).frames, load_shard(second[0]).frames)
    stamp = first[0].stat().st_mtime_ns
    assert len(make_frames(tmp_path, 4, seed=4, shard_frames=3)) == 2
    assert first[0].stat().st_mtime_ns == stamp
