"""Targets: Zipf's law, this Python's English, a reader's own files. No word-level number."""

import hashlib
import json
import re
import subprocess
import sys
import unicodedata
from collections import Counter

import numpy as np
import pytest

from collapse import targets


def test_zipf():
    np.testing.assert_allclose(targets.zipf(4, 0), 0.25)
    p = targets.zipf(10**6, 1.2)
    assert p.sum() == pytest.approx(1, abs=1e-12) and (np.diff(p) < 0).all()
    assert p[0] / p[9] == pytest.approx(10**1.2)


def test_words_of_this_python():
    english = targets.words(5000)
    assert len(english.tokens) == english.p.size == 5001 and english.tokens[-1] == "<rest>"
    assert english.p.sum() == pytest.approx(1, abs=1e-12) and (english.p > 0).all()
    assert (np.diff(english.p[:-1]) <= 0).all() and english.total > 100_000
    assert len(set(english.tokens)) == 5001 and "the" in english.tokens[:3]
    assert "CPython" in english.source
    short = targets.words(10)
    assert short.tokens[:10] == english.tokens[:10]
    assert short.p[-1] == pytest.approx(english.p[10:].sum())


def test_words_of_a_readers_files(tmp_path):
    one, two = tmp_path / "one.txt", tmp_path / "two.txt"
    one.write_text("The cat -- the Cat, THE 3rd cat's café.", encoding="utf-8")
    two.write_text("Über den Fluß, 'the' end\n", encoding="utf-8")
    both = targets.words(2, [one, str(two)])
    assert both.tokens == ("the", "cat", "<rest>") and both.total == 13
    np.testing.assert_allclose(both.p, [4 / 13, 2 / 13, 7 / 13])
    assert both.source == "one.txt, two.txt"
    alone = targets.words(5, one)
    assert alone.tokens == ("the", "cat", "café", "cat's", "rd", "<rest>")
    assert alone.p[-1] == 0  # nothing is left for the rest


PROSE = """It isn't -- as they say -- over. “Is it?”, he’d asked; it was: e.g. 3.5 a.b!

Too short

>>> print("no prose at all")

A naïve café, again.  And it
goes on, and on...
"""


def test_english_prose_is_cut_as_ever(tmp_path):
    """By the rules of 0.1, written out; and a digest of them on fixed prose."""
    word = r"[^\W\d_]+(?:'[^\W\d_]+)*"
    documents = []
    for content in targets._python_texts():
        for part in re.split(r"\n[^\S\n]*\n", content):
            plain = unicodedata.normalize("NFC", part.lower()).replace("’", "'")
            found = re.findall(word + r"|[.,;:?!](?!\S)", plain)
            if ">>>" not in part and sum(token not in ".,;:?!" for token in found) >= 3:
                documents.append([*found, "<end>"])
    counts = Counter(token for found in documents for token in found)
    counts["<end>"] = np.inf
    order = sorted(counts, key=lambda token: (-counts[token], token))
    english, number = targets.text(), {token: i for i, token in enumerate(order)}
    assert english.tokens == tuple(order)
    np.testing.assert_array_equal(english.stream, [number[t] for found in documents for t in found])

    (tmp_path / "prose.txt").write_text(PROSE, encoding="utf-8", newline="\r\n")
    prose = targets.text(tmp_path / "prose.txt")
    assert prose.decode(prose.stream) == (
        "it isn't as they say over. is it, he'd asked; it was: e g. a b!\n"
        "a naïve café, again. and it goes on, and on.\n"
    )
    spelled = json.dumps([prose.tokens, prose.stream.tolist()], ensure_ascii=False).encode()
    assert hashlib.sha256(spelled).hexdigest()[:16] == "97b8d640abb8fdd9"


def test_one_document_a_line_or_a_file(tmp_path):
    names, more = tmp_path / "names.txt", tmp_path / "more.txt"
    names.write_text("Ada\nGrace Hopper\n\n  \n3\nAlan\n")
    more.write_text("Emmy\n\nKurt\n")
    text = targets.text([names, more], by="line")
    assert text.decode(text.stream) == "ada\ngrace hopper\nalan\nemmy\nkurt\n"
    assert targets.paragraphs(names, by="line")[0] == ["Ada", "Grace Hopper", "Alan"]
    text = targets.text([names, more], by="file")
    assert text.decode(text.stream) == "ada grace hopper alan\nemmy kurt\n"


def test_columns_of_tables(tmp_path):
    """A record is a file of its own; quotes, signs and line ends as the formats have them."""
    titles = ["The Third Man, again", 'a "quoted"\u2028 line', "of Ada\n\nof Alan Turing Day"]
    cell = [title.replace('"', '""') for title in titles]
    tables = {
        "a.csv": "\ufeffid,title\r\n" + "\r\n".join(f'{i},"{c}"' for i, c in enumerate(cell)),
        "b.csv": "title;id\n" + "\n".join(f'"{c}";u' for c in cell),
        "c.TSV": "title\tid\n" + "\n".join(f'"{c}"\tu' for c in cell),
        "d.jsonl": "\n\n".join(
            json.dumps({"id": 1, "title": t}, ensure_ascii=False) for t in titles
        ),
        "e.txt": "\n".join(json.dumps({"title": t, "id": "u"}) for t in titles),
    }
    for name, content in tables.items():
        path = tmp_path / name
        path.write_bytes(content.encode())
        text = targets.text(path, field="title", by="file")
        told = "the third man, again\na quoted line\nof ada of alan turing day\n"
        assert text.decode(text.stream) == told and text.source == name
        text = targets.text(path, field="title")
        assert text.decode(text.stream) == told.replace("of ada of alan", "of alan")
        written = targets.paragraphs(path, field="title", by="file")[0]
        assert written == [" ".join(title.split()) for title in titles]
        words = targets.words(1, path, field="title")
        assert words.tokens[0] in ("of", "a") and words.total == 13 and "id" not in words.tokens


def test_unk_is_one_token(tmp_path):
    wiki = tmp_path / "wiki.txt"
    wiki.write_text(" \n = Gold dollar = \n \n The <unk> of <unk> @-@ wide , and <UNK> . \n \n Go")
    assert targets.words(1, wiki).tokens == ("<unk>", "<rest>")
    wiki.write_text(wiki.read_text() + "\n \n a b c \n")
    text = targets.text(wiki)
    assert text.decode(text.stream) == "the <unk> of <unk> wide, and <unk>.\na b c\n"


CUT = {
    "Russian": "Мы читаем книги и пишем слова.",
    "Greek": "Διαβάζουμε βιβλία και γράφουμε.",
    "Vietnamese": unicodedata.normalize("NFD", "Chúng tôi đọc sách và viết những chữ."),
    "Korean": unicodedata.normalize("NFD", "우리는 책을 읽고 글을 씁니다."),
    "Arabic": "نحن نقرأ الكتب ونكتب الكلمات.",
    "Hebrew": "אנחנו קוראים ספרים וכותבים מילים.",
    "Chinese with spaces": "我们 读书 并 写下 文字 ， 然后 再 读 。",
    "English with a name": "We read the book of 北京市人民政府 twice, "
    + "and then we went on. " * 30,
}
NOT_CUT = {
    "Chinese": "我们读书并写下文字然后再读。",
    "Japanese": "わたしたちは本を読み、文字を書いています。",
    "Thai": "เราอ่านหนังสือและเขียนตัวอักษร",
    "Thai with spaces": "เรา อ่าน หนังสือ และ เขียน ตัว อักษร",
    "Khmer": "យើងអានសៀវភៅហើយសរសេរអក្សរ",
    "Burmese": "ကျွန်ုပ်တို့သည်စာအုပ်ဖတ်သည်",
    "Lao": "ພວກເຮົາອ່ານປຶ້ມແລະຂຽນຕົວອັກສອນ",
    "Tibetan": "ང་ཚོས་དཔེ་ཆ་ཀློག་གི་ཡོད།",
    "Hindi": "हम किताबें पढ़ते हैं और शब्द लिखते हैं।",
    "Bengali": "আমরা বই পড়ি এবং শব্দ লিখি।",
    "Tamil": "நாங்கள் புத்தகங்களைப் படிக்கிறோம்.",
    "Arabic with vowels": "نَحْنُ نَقْرَأُ الكُتُبَ.",
    "half English": "We read the book. हम किताबें पढ़ते हैं।",
}


@pytest.mark.parametrize("script", CUT)
def test_scripts_that_are_cut_into_words(script, tmp_path):
    (tmp_path / "x.txt").write_text(f"{CUT[script]}\n{CUT[script]}", encoding="utf-8")
    text = targets.text(tmp_path / "x.txt", by="line")
    plain = unicodedata.normalize("NFC", CUT[script].lower())
    spelled = [word.strip(".,，。") for word in plain.split()]
    spelled = [word for word in spelled if word]
    found = [text.tokens[i] for i in text.stream if text.tokens[i] not in (*".,", "<end>")]
    assert found == 2 * spelled
    assert set(targets.words(1, tmp_path / "x.txt").tokens[:1]) <= set(spelled)


@pytest.mark.parametrize("script", NOT_CUT)
def test_scripts_that_are_not(script, tmp_path):
    """Refused; as characters, with their marks, nothing is lost."""
    one = NOT_CUT[script]
    (tmp_path / "x.txt").write_text(f"{one}\n{one}", encoding="utf-8")
    for read in (
        lambda: targets.text(tmp_path / "x.txt", by="line"),
        lambda: targets.words(1, tmp_path / "x.txt"),
    ):
        with pytest.raises(ValueError, match=r"script .*found .*x\.txt.*cut='character'"):
            read()
    text = targets.text(tmp_path / "x.txt", by="line", cut="character")
    told = unicodedata.normalize("NFC", one.lower())
    assert text.decode(text.stream) == f"{told}\n{told}\n"
    assert not any(unicodedata.category(token[0])[0] == "M" for token in text.tokens)
    assert targets.paragraphs(tmp_path / "x.txt", by="line")[0] == [one, one]


def test_characters(tmp_path):
    (tmp_path / "x.txt").write_text("Ada  B.\n\nA\u0301de\u0323\u0301 !\n")
    text = targets.text(tmp_path / "x.txt", cut="character")
    assert text.decode(text.stream) == "ada b.\nádẹ́ !\n"
    assert set(text.tokens) == {"<end>", *"adb .!", "á", "ẹ\u0301"}
    short = targets.text(tmp_path / "x.txt", cut="character", k=2)
    assert short.between == "" and short.split(0.5, rng=1)[0].between == ""
    assert short.tokens == ("<end>", " ", "a", "<rest>")


def test_import_is_light():
    """No matplotlib, no scipy.stats, no text read at import."""
    heavy = "('matplotlib', 'scipy.stats')"
    code = f"import sys, collapse; print([name for name in {heavy} if name in sys.modules])"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"
