"""The bench of a fleet counts what each client met with."""

from jpai_agent.vlm.fleet import bench_fleet


def test_a_fleet_is_timed_by_the_number_of_clients():
    found = bench_fleet(rounds=1, round_s=0.5, clients=(1, 2), workers=2)
    assert (found["model"], found["workers"]) == ("jpai-embedded", 2)
    assert set(found["clients"]) == {"1", "2"}
    for each in found["clients"].values():
        assert each["later_than_the_deadline"] == 0
        assert each["ms"]["p50"] <= each["ms"]["p99"] <= 3000.0
        assert len(each["times_one_client_by_round"]) == 1
