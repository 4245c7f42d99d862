"""How fast a watch puts back what somebody takes away again and again."""

from provisioner.commands.boot.watch import WatchPace


def test_what_goes_now_and_then_is_put_back_at_once() -> None:
    pace = WatchPace()
    for now in (0.0, 70.0, 140.0):
        pace = pace.after(now)
        assert pace.pause_s == 0.2


def test_what_goes_again_and_again_is_put_back_less_and_less_often() -> None:
    pace, now, pauses = WatchPace(), 0.0, []
    for _ in range(10):
        pace = pace.after(now)
        now += pace.pause_s
        pauses.append(pace.pause_s)
    assert pauses[:5] == [0.2, 0.4, 0.8, 1.6, 3.2]
    assert pauses[-2:] == [30.0, 30.0]
    assert pace.after(now + 60).pause_s == 0.2, "a minute of calm"
