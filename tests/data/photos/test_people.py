"""What sentences say of people."""

import pytest

from hf_refseg.data.photos.people import kind_in_captions, people_verdicts, said_kind


@pytest.mark.parametrize(
    ("sentence", "kind"),
    [
        ("left guy behind the girl", "man"),
        ("the Lady's coat", "woman"),
        ("toddler in the red chair", "kid"),
        ("person next to the woman", None),
        ("rider on the left", None),
        ("far left", None),
    ],
)
def test_the_first_word_for_a_person_counts(sentence, kind):
    assert said_kind(sentence) == kind


def test_what_is_said_excludes_its_opposites_and_nothing_else():
    verdicts = people_verdicts(["man", None, "man"])
    assert verdicts["man"] is True and verdicts["woman"] is False and verdicts["boy"] is None
    assert people_verdicts(["girl", "kid"])["kid"] is True
    assert set(people_verdicts([None]).values()) == {None}


def test_contradictions_say_nothing():
    assert set(people_verdicts(["man", "woman"]).values()) == {None}


def test_captions_must_agree():
    assert kind_in_captions(["A man on a horse.", "a guy rides", "A horse."]) == "man"
    assert kind_in_captions(["A man on a horse."]) is None
    assert kind_in_captions(["A man.", "A woman.", "A man."]) is None
