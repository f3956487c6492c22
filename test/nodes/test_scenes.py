"""Scenes as they are kept: one that is asked for before it has come is waited for."""

from __future__ import annotations

import threading

from jpai_agent.nodes import convert, topics
from jpai_agent.nodes.scenes import SceneMemory
from jpai_agent.world.scene import RobotState, Scene
from jpai_msgs import msg


def scene(number: int) -> Scene:
    return Scene(f"scene-{number}", float(number), RobotState(float(number), 0.0, 0.0))


def test_a_scene_that_comes_later_is_waited_for_and_one_that_never_comes_is_not_for_ever(graph):
    memory = SceneMemory(graph.node)
    publisher = graph.node.create_publisher(msg.Scene, topics.SCENE, topics.SCENES)
    assert graph.spin_until(publisher.get_subscription_count)
    publisher.publish(convert.scene_msg(scene(1)))
    assert graph.spin_until(memory.latest)
    assert memory.by_id("scene-1") == scene(1) and memory.by_id("scene-2") is None
    found: list[Scene | None] = []
    asking = threading.Thread(target=lambda: found.append(memory.by_id("scene-2", 10.0)))
    asking.start()
    for number in (2, 3):
        publisher.publish(convert.scene_msg(scene(number)))
    assert graph.spin_until(lambda: found)
    asking.join()
    assert found == [scene(2)]
    assert memory.by_id("scene-9", 0.05) is None
