"""Power failures at every moment of a projection's life: view, checkpoint and deliveries agree, and it goes on."""

from functions import delivering, inbox, say

import treering
from treering import Store, testing


def projection(store: Store) -> "treering.Projection[dict[str, list[int]]]":
    return store.scope("team").projection("seen", of=store.scope("alice"), kinds=["chat"], start={})


def life(store: Store, mark: object) -> None:
    alice = store.scope("alice")
    for number in range(5):
        say(alice, "a", *"xyz")
        say(alice, f"b{number}", "x")
        projection(store).catch_up(delivering)
        mark(str(projection(store).get().events))  # type: ignore[operator]
    alice.chats.delete("b0")
    projection(store).catch_up(delivering)
    projection(store).rebuild(delivering)
    mark(str(projection(store).get().events))  # type: ignore[operator]


def test_wherever_the_power_fails() -> None:
    cuts = 0
    for cut in testing.power_cuts(life, losses=["all", "nothing", "random"]):
        cuts += 1
        with testing.open(cut.path) as store:
            team, seen = store.scope("team"), projection(store)
            assert store.verify().ok
            found, checkpoint = seen.get(), seen.checkpoint()
            # What was answered is there.
            assert found.events >= max(map(int, cut.marks), default=0)
            # View, checkpoint and deliveries say the same; a rebuilt view has forgotten what is gone.
            told = inbox(team)
            assert len(told) == len(set(told)) == found.events
            newest = {str(source): version for source, version in checkpoint.items()}
            assert {source: versions[-1] for source, versions in found.value.items()} == newest
            for source, versions in found.value.items():
                delivered = [int(text.split()[1]) for text in told if text.startswith(f"{source} ")]
                assert delivered[-len(versions) :] == versions
            # And it goes on, to where it would have come.
            seen.catch_up(delivering)
            told = inbox(team)
            assert len(told) == len(set(told)) == seen.get().events
            alice = store.scope("alice")
            assert {str(source): version for source, version in seen.checkpoint().items()} == {
                f"alice/chat/{info.parts[0]}": info.version for info in alice.actors() if info.kind == "chat"
            }
    assert cuts > 100
