"""Names that look like others, for notices."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from provreg.core.encoding.lookalikes import Likeness, Spellings, lookalikes


@pytest.mark.parametrize(
    ("a", "b"),
    [
        ("ann", "\u0430nn"),
        ("ann", "Ann"),
        ("cat", " Cat "),
        ("ice-cream", "ice_cream"),
        ("vendor", "vend\u03bfr"),
        ("caf\u00e9", "cafe\u0301"),
        ("cat", "\uff43\uff41\uff54"),
        ("solo", "s0l0"),
        ("class 10", "class 1O"),
        ("ann1", "annl"),
        ("annI", "annl"),
        ("smith", "srnith"),
        ("modern", "Modem"),
        ("hello", "\u041d\u0435llo"),
        ("hello", "\u043d\u0435llo"),
        ("coco", "\u0441\u043e\u0441\u043e"),
        ("fay", "fa\u200by"),
        ("mona", "\U0001d426\U0001d428\U0001d427\U0001d41a"),
        ("mona", "\uff4d\uff4f\uff4e\uff41"),
        ("mail", "ma\u0456l"),
        ("ice-cream", "ice\u2010cream"),
        ("v1.1", "v1\u20101"),
        ("cam 10", "cam \u0661\u0660"),
    ],
)
def test_names_that_look_alike_are_found(a: str, b: str) -> None:
    assert Spellings([a, b]).alike(a) == [b]
    assert Spellings([b, a]).alike(b) == [a]


@pytest.mark.parametrize(
    ("name", "other"),
    [("catt", "cat"), ("hosre", "horse"), ("horze", "horse"), ("aeroplane", "aeroplan")],
)
def test_typing_errors_are_found(name: str, other: str) -> None:
    assert Spellings(["truck", name, other]).misspelled(name) == [other]


@pytest.mark.parametrize(
    ("a", "b"),
    [("cam-1", "cam-2"), ("vendor-a", "vendor-b"), ("class10", "class11"), ("cat", "bat"),
     ("night-001", "night-0010"), ("truck", "horse"), ("ann1", "ann2"), ("class 10", "class 11"),
     ("mm", "\u00b5m"), ("cam \u0661\u0660", "cam \u0661"), ("clog", "dog")],
)  # fmt: skip
def test_counters_and_short_names_are_neither_alike_nor_typing_errors(a: str, b: str) -> None:
    assert Spellings([a, b]).misspelled(a) == []
    assert Spellings([a, b]).alike(a) == []


@given(st.lists(st.text(max_size=70), unique=True, max_size=6))
def test_any_names_can_be_compared(names: list[str]) -> None:
    spellings = Spellings(names)
    for name in names:
        assert name not in spellings.alike(name)
        assert name not in spellings.misspelled(name)


@pytest.mark.parametrize(
    ("a", "b", "samples", "likeness"),
    [
        ("modern", "modem", (900, 5), Likeness.BOTH_MEANT),
        ("Corn", "com", (1, 9), Likeness.BOTH_MEANT),
        ("A", "a", (900, 5), Likeness.BOTH_MEANT),
        ("I", "l", (900, 5), Likeness.BOTH_MEANT),
        ("Cardigan", "cardigan", (1300, 1300), Likeness.BOTH_MEANT),
        ("Cardigan", "cardigan", (5, 1300), Likeness.SAME),
        ("\u0432", "\u0412", (900, 5), Likeness.BOTH_MEANT),
        ("\u571f", "\u58eb", (900, 5), Likeness.BOTH_MEANT),
        ("\u041c\u0438\u0440", "\u043c\u0438\u0440", (900, 900), Likeness.BOTH_MEANT),
        ("\u212aiwi", "kiwi", (900, 900), Likeness.SAME),
        ("modern", "m0dem", (900, 900), Likeness.SAME),
        ("modern", "mo\u0501em", (900, 900), Likeness.SAME),
        ("A", "\u0410", (900, 900), Likeness.SAME),
        ("ice cream", "ice-cream", (900, 900), Likeness.SAME),
    ],
)
def test_which_pairs_may_both_be_meant(
    a: str, b: str, samples: tuple[int, int], likeness: Likeness
) -> None:
    totals = dict(zip((a, b), samples, strict=True))
    ((*_, found),) = lookalikes([a, b], totals, [a, b])
    assert found is likeness


@pytest.mark.parametrize(("a", "b"), [("v1.1", "v11"), ("ball", "bail"), ("BALL", "BAIL")])
def test_names_one_character_apart_are_not_alike(a: str, b: str) -> None:
    assert Spellings([a, b]).alike(a) == []


# Words and spellings as usual lists have them.
COCO = """
person, bicycle, car, motorcycle, airplane, bus, train, truck, boat, traffic light, fire hydrant,
stop sign, parking meter, bench, bird, cat, dog, horse, sheep, cow, elephant, bear, zebra, giraffe,
backpack, umbrella, handbag, tie, suitcase, frisbee, skis, snowboard, sports ball, kite, baseball
bat, baseball glove, skateboard, surfboard, tennis racket, bottle, wine glass, cup, fork, knife,
spoon, bowl, banana, apple, sandwich, orange, broccoli, carrot, hot dog, pizza, donut, cake, chair,
couch, potted plant, bed, dining table, toilet, tv, laptop, mouse, remote, keyboard, cell phone,
microwave, oven, toaster, sink, refrigerator, book, clock, vase, scissors, teddy bear, hair drier,
toothbrush
"""
CIFAR_100 = """
apple, aquarium_fish, baby, bear, beaver, bed, bee, beetle, bicycle, bottle, bowl, boy, bridge, bus,
butterfly, camel, can, castle, caterpillar, cattle, chair, chimpanzee, clock, cloud, cockroach,
couch, crab, crocodile, cup, dinosaur, dolphin, elephant, flatfish, forest, fox, girl, hamster,
house, kangaroo, keyboard, lamp, lawn_mower, leopard, lion, lizard, lobster, man, maple_tree,
motorcycle, mountain, mouse, mushroom, oak_tree, orange, orchid, otter, palm_tree, pear,
pickup_truck, pine_tree, plain, plate, poppy, porcupine, possum, rabbit, raccoon, ray, road, rocket,
rose, sea, seal, shark, shrew, skunk, skyscraper, snail, snake, spider, squirrel, streetcar,
sunflower, sweet_pepper, table, tank, telephone, television, tiger, tractor, train, trout, tulip,
turtle, wardrobe, whale, willow_tree, wolf, woman, worm
"""


@pytest.mark.parametrize(("text", "number"), [(COCO, 80), (CIFAR_100, 100)])
def test_classes_of_known_datasets_are_not_alike(text: str, number: int) -> None:
    names = [" ".join(name.split()) for name in text.split(",")]
    assert len(set(names)) == number
    assert not lookalikes(names, dict.fromkeys(names, 1), names)
