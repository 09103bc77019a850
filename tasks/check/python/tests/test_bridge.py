"""Drives the bridge as users do, against the real engine (ALOFT_ENGINE)."""

import json
import os
import select
import signal
import socket
import subprocess
import sys
import tempfile
import textwrap
import unittest

import numpy as np

from aloft_checks import ConditionResult, check
from aloft_checks.core import errors
from aloft_checks.nlp import TextData
from aloft_checks.tabular import Dataset
from aloft_checks.vision import Suite, VisionData, image_property
from aloft_checks.vision.checks import ClassPerformance, ImagePropertyDrift, LabelDrift, MeanAveragePrecisionReport
from aloft_checks.vision.suites import data_integrity, full_suite, model_evaluation, train_test_validation


class Torch:
    """What tensors of torch look like to the package."""

    def __init__(self, a):
        self.a = np.asarray(a)

    def detach(self):
        return self

    def cpu(self):
        return self

    def numpy(self):
        return self.a

    def __len__(self):
        return len(self.a)

    def __getitem__(self, i):
        return Torch(self.a[i])


def batches(n=4, size=25, seed=1, bright=100, **extra):
    """A loader of small images of two classes."""
    rng = np.random.RandomState(seed)
    for b in range(n):
        labels = rng.randint(0, 2, size)
        images = [np.clip(rng.randint(0, bright, (12, 10, 3)) + 60 * y, 0, 255).astype(np.uint8) for y in labels]
        p = np.where(rng.rand(size) < 0.9, labels, 1 - labels) * 0.8 + 0.1
        out = {"images": images, "labels": list(map(int, labels)), "predictions": np.stack([1 - p, p], axis=1), "image_identifiers": ["%d/%d" % (b, i) for i in range(size)]}
        out.update(extra)
        yield {k: v for k, v in out.items() if v is not None}


def data(**options):
    return VisionData(batches(**options), "classification", label_map={0: "ant", 1: "bee"})


def one(image=None, label=0, prediction=None, task="classification"):
    """The result of data_integrity on twelve good images and one given."""
    good = {"classification": (0, [1.0, 0.0]), "object_detection": (np.array([[0, 1, 1, 2, 2]]), np.array([[1, 1, 2, 2, .5, 0]])), "semantic_segmentation": (np.zeros((6, 6), int), np.zeros((2, 6, 6)))}[task]
    images = [np.full((6, 6, 3), 10 * i, np.uint8) for i in range(12)] + [np.zeros((6, 6, 3), np.uint8) if image is None else image]
    batch = {"images": images, "labels": [good[0]] * 12 + [good[0] if label is None else label], "predictions": [good[1]] * 12 + [good[1] if prediction is None else prediction]}
    return data_integrity().run(VisionData([batch], task))


class Results(unittest.TestCase):
    def test_suite(self):
        r = full_suite().run(data(), data(seed=2, bright=255))
        self.assertEqual(len(r.get_not_ran_checks()), 6)
        self.assertFalse(r.passed())
        drift = r.select_results(names=["Image Property Drift"])[0]
        self.assertGreater(drift.value["Brightness"]["Drift score"], 0.2)
        self.assertEqual([str(c.category) for c in drift.conditions_results], ["FAIL"])
        self.assertIn(drift, r.get_not_passed_checks())
        self.assertTrue(all(c not in r.get_passed_checks() for c in r.get_not_passed_checks()))
        self.assertEqual(json.loads(r.to_json())["type"], "SuiteResult")
        self.assertIn("fail", repr(r))
        with tempfile.TemporaryDirectory() as d:
            name = r.save_as_html(os.path.join(d, "report.html"))
            with open(name, encoding="utf-8") as f:
                page = f.read()
            self.assertIn("<title>", page)
            self.assertIn("data:image/", page)
            with open(r.save_as_junit(os.path.join(d, "j.xml")), encoding="utf-8") as f:
                self.assertIn("<testsuite", f.read())

    def test_single_checks_and_conditions(self):
        r = LabelDrift().add_condition_drift_score_less_than(0.9).run(data(), data(seed=3))
        self.assertTrue(r.passed_conditions())
        self.assertEqual(r.conditions_results[0].name, "categorical drift score < 0.9 and numerical drift score < 0.15")
        r = ClassPerformance().add_condition_test_performance_greater_than(0.99).run(data(), data(seed=3))
        self.assertFalse(r.passed_conditions())
        with self.assertRaises(errors.DeepchecksNotSupportedError):
            MeanAveragePrecisionReport().run(data())
        with self.assertRaisesRegex(TypeError, "it has .*n_samples"):
            LabelDrift(nsamples=3)
        with self.assertRaisesRegex(AttributeError, "drift_score_less_than"):
            LabelDrift().add_condition_drift_less_than(3)

    def test_edited_suite(self):
        s = train_test_validation()
        n = len(s)
        s.add(ImagePropertyDrift(min_samples=5)).remove(0)
        self.assertEqual(len(s), n)
        s[0].clean_conditions()
        names = [c.get_check_name() for c in s.run(data(), data(seed=2)).results]
        self.assertNotIn("New Labels", names)
        self.assertEqual(names.count("Image Property Drift"), 2)
        with self.assertRaisesRegex(errors.DeepchecksValueError, "No index 99"):
            s.remove(99)
        with self.assertRaisesRegex(errors.DeepchecksValueError, "unsupported object type"):
            s.add(3)

    def test_max_samples_stops_the_loader(self):
        asked = []

        def endless():
            for i, b in enumerate(batches(n=10000)):
                asked.append(i)
                yield b

        r = data_integrity().run(VisionData(endless(), "classification"), max_samples=60)
        self.assertEqual(r.report["rows"], {"train": 60})
        self.assertLess(len(asked), 2000)

    def test_same_in_all_forms(self):
        plain = full_suite().run(data(), data(seed=2)).report
        for change in (
            lambda b: dict(b, images=Torch(np.stack(b["images"])), labels=Torch(b["labels"]), predictions=Torch(b["predictions"])),
            lambda b: dict(b, images=np.stack(b["images"]).astype(np.float32), labels=np.array(b["labels"])),
            lambda b: dict(b, images=[i.tolist() for i in b["images"]], predictions=b["predictions"].tolist()),
            lambda b: dict(b, images=[i.astype(np.int64) for i in b["images"]], labels=[float(y) for y in b["labels"]]),
        ):
            sides = [VisionData(map(change, batches(seed=s)), "classification", label_map={0: "ant", 1: "bee"}) for s in (1, 2)]
            other = full_suite().run(*sides).report
            for a, b in zip(plain["checks"], other["checks"]):
                self.assertEqual([c["category"] for c in a["conditions"]], [c["category"] for c in b["conditions"]], a["check"])
                if a["check"] in ("ImagePropertyDrift", "ClassPerformance", "ConfusionMatrixReport"):
                    self.assertEqual(a["value"], b["value"], a["check"])

    def test_detection_and_segmentation(self):
        rng = np.random.RandomState(0)

        def boxes():
            for _ in range(3):
                truth = [np.array([[rng.randint(2), x, y, 8, 9] for x, y in rng.randint(0, 20, (2, 2))], float) for _ in range(10)]
                yield {"images": [rng.randint(0, 255, (32, 32, 3)).astype(np.uint8) for _ in truth], "labels": truth,
                       "predictions": [np.column_stack([t[:, 1:], np.full(len(t), .9), t[:, 0]]) for t in truth]}

        r = model_evaluation().run(VisionData(boxes(), "object_detection"))
        ap = r.select_results(names=["Mean Average Precision Report"])[0]
        self.assertTrue(ap.passed_conditions(), ap)

        def masks():
            for _ in range(3):
                truth = [rng.randint(0, 3, (16, 16)) for _ in range(10)]
                yield {"images": [rng.randint(0, 255, (16, 16, 1)).astype(np.uint8) for _ in truth], "labels": truth,
                       "predictions": [np.stack([(t == c).astype(float) for c in range(3)]) for t in truth]}

        r = model_evaluation().run(VisionData(masks(), "semantic_segmentation"), VisionData(masks(), "semantic_segmentation"))
        self.assertFalse(r.report.get("faults"))
        self.assertTrue(any("Dice" in json.dumps(c["value"]) for c in r.report["checks"] if c["status"] == "ok"))


class BadInput(unittest.TestCase):
    def fault(self, **sample):
        r = one(**sample)
        self.assertFalse(r.passed())
        self.assertEqual(r.report["rows"]["train"], 12)
        (f,) = r.report["faults"]["train"]["samples"]
        return f["message"]

    def test_samples(self):
        for want, sample in (
            ("channels first", dict(image=np.zeros((3, 6, 6), np.uint8))),
            ("height x width x 1 or 3, not 2 x 3 x 4 x 5", dict(image=np.zeros((2, 3, 4, 5), np.uint8))),
            ("looks normalised", dict(image=np.random.rand(6, 6, 3).astype(np.float32))),
            ("between 0 and 255", dict(image=np.full((6, 6, 3), 300))),
            ("between 0 and 255", dict(image=np.full((6, 6, 3), 300.0))),
            ("not an array of numbers", dict(image="cat.png")),
            ("the number of a class, not 'bee'", dict(label="bee")),
            ("the number of a class, not 0.5", dict(label=0.5)),
            ("add up to 0.4", dict(prediction=[0.2, 0.2])),
            ("softmax", dict(prediction=[7.0, -3.0])),
            ("of 3 classes", dict(prediction=[0.2, 0.2, 0.6])),
            ("one for each class", dict(prediction=[[0.2, 0.8]])),
            ("array of n x 5 numbers, not 1 x 4", dict(task="object_detection", label=np.zeros((1, 4)))),
            ("corner must not be negative", dict(task="object_detection", label=np.array([[0, -5, 1, 2, 2]]))),
            ("confidence must lie between 0 and 1", dict(task="object_detection", prediction=np.array([[1, 1, 2, 2, 9, 0]]))),
            ("the mask of the label is 5 x 6", dict(task="semantic_segmentation", label=np.zeros((5, 6), int), prediction=np.zeros((2, 5, 6)))),
            ("classes from 0 to 65535", dict(task="semantic_segmentation", label=np.full((6, 6), -1))),
        ):
            with self.subTest(want):
                self.assertIn(want, self.fault(**dict({"label": None}, **sample)))

    def test_loaders(self):
        for want, loader in (
            ("is empty", []),
            ("must be a dict", [[1, 2, 3]]),
            ("none of images, labels, predictions; its keys are 'x'", [{"x": [1]}]),
            ("'labels' of a batch has 1 elements, others have 2", [{"images": [np.zeros((4, 4, 3), np.uint8)] * 2, "labels": [1]}]),
        ):
            with self.subTest(want), self.assertRaisesRegex(errors.DeepchecksBaseError, want):
                data_integrity().run(VisionData(loader, "classification"))
        with self.assertRaisesRegex(errors.DeepchecksValueError, "task_type must be one of"):
            VisionData([], "clasification")
        with self.assertRaisesRegex(errors.DeepchecksValueError, "iterate over"):
            VisionData(3, "classification")
        with self.assertRaisesRegex(errors.DeepchecksValueError, "different task types"):
            full_suite().run(data(), VisionData([], "object_detection"))

    def test_labels_without_predictions(self):
        r = model_evaluation().run(data(predictions=None))
        self.assertTrue(all("prediction" in str(f.exception).lower() or "irrelevant" in str(f.exception).lower() for f in r.get_not_ran_checks()), r.get_not_ran_checks())
        self.assertFalse(r.passed(fail_if_check_not_run=True))

    def test_raises_in_the_middle(self):
        def breaks():
            yield from batches(n=2)
            raise KeyError("no image 51")

        r = data_integrity().run(VisionData(breaks(), "classification"))
        self.assertFalse(r.passed())
        partial = r.report["faults"]["train"]["partial"]
        self.assertIn("KeyError: 'no image 51'", partial)
        self.assertIn("in breaks", partial)
        self.assertEqual(r.report["rows"]["train"], 50)
        self.assertTrue(r.results)

    def test_class_unseen_in_training(self):
        r = full_suite().run(data(), VisionData([{"images": b["images"], "labels": [5] * len(b["labels"]), "predictions": b["predictions"]} for b in batches()], "classification"))
        new = r.select_results(names=["New Labels"])[0]
        self.assertFalse(new.passed_conditions())
        self.assertIn("100%", new.conditions_results[0].details)

    def test_killed_engine(self):
        class Killer:
            def __iter__(self):
                for i, b in enumerate(batches(n=50, size=200)):
                    if i == 3:
                        for pid in subprocess.run(["pgrep", "-P", str(os.getpid())], capture_output=True, text=True).stdout.split():
                            with open("/proc/%s/cmdline" % pid) as f:
                                if "bridge" in f.read():
                                    os.kill(int(pid), signal.SIGKILL)
                    yield b

        with self.assertRaisesRegex(errors.EngineError, "ended by signal 9"):
            data_integrity().run(VisionData(Killer(), "classification"))

    def test_killed_python(self):
        script = textwrap.dedent("""
            import os, signal, sys
            import numpy as np
            from aloft_checks.vision import VisionData
            from aloft_checks.vision.suites import data_integrity
            def loader():
                for i in range(100):
                    if i == 3:
                        import subprocess
                        print(subprocess.run(["pgrep", "-P", str(os.getpid()), "-f", "bridge"], capture_output=True, text=True).stdout, flush=True)
                        os.kill(os.getpid(), signal.SIGKILL)
                    yield {"images": [np.zeros((64, 64, 3), np.uint8)] * 50, "labels": [0] * 50}
            data_integrity().run(VisionData(loader(), "classification"))
        """)
        p = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60)
        self.assertEqual(p.returncode, -signal.SIGKILL, p.stderr)
        pid = int(p.stdout.split()[0])
        for _ in range(200):  # the engine ends by itself
            try:
                with open("/proc/%d/stat" % pid) as f:
                    if f.read().split(") ")[1][0] == "Z":
                        return
            except OSError:
                return
            select.select([], [], [], 0.05)
        self.fail("the engine outlived Python")

    def test_no_engine(self):
        before = {k: os.environ.pop(k, None) for k in ("ALOFT_ENGINE", "ALOFT_SKY", "PATH")}
        try:
            with self.assertRaisesRegex(errors.EngineNotFoundError, "needs the program `sky`"):
                data_integrity().run(data())
            os.environ["ALOFT_SKY"] = "/no/such"
            with self.assertRaisesRegex(errors.EngineNotFoundError, "ALOFT_SKY is /no/such"):
                data_integrity().run(data())
        finally:
            os.environ.pop("ALOFT_SKY", None)
            os.environ.update({k: v for k, v in before.items() if v is not None})


class Own(unittest.TestCase):
    def test_property(self):
        @image_property(name="Top Row")
        def top(image):
            return image[0].mean()

        @image_property(kind="categorical")
        def odd(image):
            return int(image[0, 0, 0]) % 2

        r = full_suite().run(data(), data(seed=2, bright=255), properties=[top, odd])
        scores = r.select_results(names=["Image Property Drift"])[0].value
        self.assertGreater(scores["Top Row"]["Drift score"], 0.2)
        self.assertEqual(scores["Odd"]["Method"], "Cramer's V")

        @image_property
        def bad(image):
            return "x"

        r = data_integrity().run(data(n=1), properties=[bad])
        self.assertIn("the property Bad gave 'x'", r.report["faults"]["train"]["samples"][0]["message"])

    def test_check(self):
        @check(name="Blank images")
        def blank(batches):
            """Counts images of one colour."""
            return sum(int(i.max() == i.min()) for b in batches for i in b["images"])

        @blank.add_condition("There are none")
        def none(n):
            return n == 0

        @check
        def crashes(batches):
            next(iter(batches))
            raise RuntimeError("oh")

        @check(per_dataset=False)
        def both(train, test):
            return {"train": sum(len(b["labels"]) for b in train), "test": sum(len(b["labels"]) for b in test)}

        both.add_condition("As many", lambda v: (v["train"] == v["test"], "%(train)d and %(test)d" % v))
        both.add_condition("Warns", lambda v: ConditionResult("WARN", "careful"))
        r = Suite("mine", LabelDrift(), blank, crashes, both).run(data(), data(seed=2, n=3))
        by = {(x._data["check"], x._data["dataset"]): x for x in r.results}
        self.assertEqual(by["Blankimages", "train"].value, 0)
        self.assertTrue(by["Blankimages", "test"].passed_conditions())
        self.assertIn("RuntimeError: oh", str(by["Crashes", "train"].exception))
        self.assertEqual(by["Both", None].value, {"test": 75, "train": 100})
        self.assertEqual([(str(c.category), c.details) for c in by["Both", None].conditions_results], [("FAIL", "100 and 75"), ("WARN", "careful")])
        self.assertFalse(r.passed())


class Tables(unittest.TestCase):
    def test_forms(self):
        from aloft_checks.tabular.suites import data_integrity as integrity

        n = 200
        table = {"x": [i * 0.5 for i in range(n)], "c": ["a" if i % 3 else "b" for i in range(n)], "k": [1] * n, "y": [i % 2 for i in range(n)]}
        plain = integrity().run(Dataset(table, label="y"))
        self.assertFalse(plain.select_results(names=["Single Value in Column"])[0].passed_conditions())
        rows = [dict(zip(table, v)) for v in zip(*table.values())]
        arrays = {k: np.array(v) for k, v in table.items()}
        for other in (rows, arrays):
            r = integrity().run(Dataset(other, label="y"))
            self.assertEqual([c["value"] for c in r.report["checks"]], [c["value"] for c in plain.report["checks"]])
        try:
            import pandas
        except ImportError:
            return
        r = integrity().run(Dataset(pandas.DataFrame(table), label="y"))
        self.assertEqual([c["value"] for c in r.report["checks"]], [c["value"] for c in plain.report["checks"]])

    def test_bad_input(self):
        for want, make in (
            ("empty dataframe", lambda: Dataset({})),
            ("label column z not found", lambda: Dataset({"x": [1]}, label="z")),
            ("must be names of columns", lambda: Dataset({"x": [1]}, features=["q"])),
            ("different lengths", lambda: Dataset({"x": [1], "y": [1, 2]})),
            ("allowed label types", lambda: Dataset({"x": [1]}, label="x", label_type="odd")),
        ):
            with self.subTest(want), self.assertRaisesRegex(errors.DeepchecksValueError, want):
                make()

    def test_texts_as_a_table(self):
        from aloft_checks.tabular.suites import data_integrity as integrity

        t = TextData(["one", "two words"] * 30, label=[0, 1] * 30, task_type="text_classification", metadata={"source": ["a", "b"] * 30})
        self.assertTrue(integrity().run(t.to_dataset()).results)


def mails(n=200, seed=1, long=0, **options):
    """Texts of two classes with all that goes with them, and what a model answered."""
    rng = np.random.RandomState(seed)
    label = rng.randint(0, 2, n)
    text = ["%s number %d. %s" % ("Buy now!" if y else "Dear friend,", i, "word " * (rng.randint(2, 9) + 12 * y + long)) for i, y in enumerate(label)]
    p = np.where(rng.rand(n) < 0.9, label, 1 - label) * 0.8 + 0.1
    names = np.array(["ham", "spam"])
    t = TextData(text, label=names[label], task_type="text_classification", name="mails", metadata={"source": ["web", "mail"] * (n // 2), "n": list(range(n))},
                 embeddings=rng.normal(size=(n, 4)) + long, **options)
    return t, names[(p > 0.5).astype(int)], np.stack([1 - p, p], axis=1)


class Texts(unittest.TestCase):
    def sides(self, **options):
        out = {}
        for w, seed in (("train", 1), ("test", 2)):
            t, predictions, probabilities = mails(seed=seed, **(options if w == "test" else {}))
            with self.assertWarnsRegex(UserWarning, "Sentiment .*dictionary"):
                t.calculate_builtin_properties()
            out.update({w + "_dataset": t, w + "_predictions": predictions, w + "_probabilities": probabilities})
        return out

    def test_suite(self):
        from aloft_checks.nlp.suites import full_suite as texts

        r = texts().run(model_classes=["ham", "spam"], **self.sides(long=20))
        self.assertEqual(sorted(c.get_check_name() for c in r.get_not_ran_checks()), ["Unknown Tokens"] * 2)
        self.assertEqual(r.report["kind"], "nlp")
        by = {(c["check"], c["dataset"]): c for c in r.report["checks"]}
        self.assertEqual(by["PropertyDrift", None]["conditions"][0]["category"], "FAIL")
        self.assertEqual(by["TextEmbeddingsDrift", None]["conditions"][0]["category"], "FAIL")
        self.assertGreater(by["PropertyLabelCorrelation", "train"]["value"]["Text Length"], 0.3)
        self.assertEqual(by["TrainTestPerformance", None]["status"], "ok")
        self.assertEqual(by["PropertySegmentsPerformance", "test"]["error"], None)
        self.assertIn("Text Length", repr(r))

    def test_same_as_in_python(self):
        t, _, _ = mails()
        with self.assertWarns(UserWarning):
            t.calculate_builtin_properties(include_long_calculation_properties=True)
        self.assertEqual(list(map(float, t.properties["Text Length"])), [float(len(x)) for x in t.text])
        self.assertIn("Toxicity", t.properties_not_computed)
        t.calculate_builtin_properties(include_properties=["Text Length", "% Punctuation"])
        self.assertEqual(list(t.properties), ["Text Length", "% Punctuation"])
        self.assertEqual(t.properties_not_computed, {})
        with self.assertRaisesRegex(errors.DeepchecksBaseError, 'did you mean "Text Length"'):
            t.calculate_builtin_properties(include_properties=["Text Lenght"])

    def test_checks(self):
        from aloft_checks.nlp.checks import PropertyDrift, TextDuplicates, UnknownTokens
        from aloft_checks.nlp.suites import data_integrity as integrity

        t = TextData(["a b", "A, b", None, "c"])
        r = TextDuplicates(ignore_case=True).add_condition_ratio_less_or_equal(0.5).run(t)
        self.assertAlmostEqual(r.value["percent_of_duplicates"], 1 / 3)
        self.assertTrue(r.passed_conditions())
        with self.assertRaisesRegex(errors.DeepchecksNotSupportedError, "requires properties"):
            PropertyDrift().run(t, t)

        class Tokenizer:
            def get_vocab(self):
                return {"[UNK]": 0, "a": 1, "c": 2}

        self.assertEqual(UnknownTokens(tokenizer=Tokenizer()).run(t).value["unknown_word_ratio"], 0.5)
        suite = integrity()
        suite.add(check(name="Short")(lambda data: max(len(x or "") for x in data.text)))
        names = [c.get_check_name() for c in suite.run(t).results]
        self.assertIn("Short", names)

    def test_pandas(self):
        script = textwrap.dedent("""
            import pandas
            from aloft_checks.nlp import TextData
            from aloft_checks.nlp.checks import PropertyDrift, TextDuplicates
            frame = pandas.DataFrame({"text": ["a b", "c", "A b", None] * 30, "source": ["x", None] * 60, "n": range(120)}, index=range(7, 127))
            t = TextData(frame["text"], label=pandas.Series([1.0, float("nan")] * 60), task_type="text_classification", metadata=frame[["source", "n"]])
            t.calculate_builtin_properties(include_properties=["Text Length"])
            found = TextDuplicates().run(t).value["duplicates"]
            print(found.index.names, found.index[0], found.loc[(0, 0), "Text"], type(t.properties).__name__, t.properties["Text Length"].isna().sum())
            print(PropertyDrift(min_samples=5).run(t, t).value["Text Length"]["Drift score"])
            print(TextDuplicates().run(TextData(["a"])).value["duplicates"].shape)
        """)
        path = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
        if subprocess.run([sys.executable, "-c", "import pandas"], capture_output=True).returncode:
            self.skipTest("no pandas")
        out = subprocess.run([sys.executable, "-c", script], env=dict(os.environ, PYTHONPATH=path), capture_output=True, text=True)
        self.assertEqual(out.stdout.strip().split("\n"), ["['Duplicate', 'Sample ID'] (0, 0) a b DataFrame 30", "0.0", "(0, 1)"], out.stderr)

    def test_tokens(self):
        from aloft_checks.nlp.suites import model_evaluation as evaluation

        tokens, labels = [["In", "New", "York"]] * 40, [["O", "B-LOC", "I-LOC"]] * 40
        t = TextData(tokenized_text=tokens, label=labels, task_type="token_classification")
        r = evaluation().run(t, t, train_predictions=labels, test_predictions=[["O", "B-LOC", "O"]] * 40)
        rows = r.select_results(names=["Train Test Performance"])[0].value
        rows = rows.to_dict("records") if hasattr(rows, "to_dict") else [dict(zip(rows, v)) for v in zip(*rows.values())]
        self.assertEqual({(x["Dataset"], x["Metric"]): x["Value"] for x in rows}, {("Train", m): 1 for m in ("F1", "Precision", "Recall")} | {("Test", m): 0 for m in ("F1", "Precision", "Recall")})
        with self.assertRaisesRegex(errors.ValidationError, "one for each token"):
            evaluation().run(t, t, train_predictions=labels, test_predictions=[["O"]] * 40)

    def test_multilabel(self):
        from aloft_checks.nlp.checks import TrainTestPerformance

        t = TextData(["x", "y"] * 30, label=[[0, 1], [1, 1]] * 30, task_type="text_classification")
        r = TrainTestPerformance().run(t, t, train_predictions=[[0, 1], [1, 1]] * 30, test_predictions=[[0, 1], [1, 0]] * 30, model_classes=["a", "b"])
        rows = r.value.to_dict("records") if hasattr(r.value, "to_dict") else [dict(zip(r.value, v)) for v in zip(*r.value.values())]
        self.assertEqual({x["Class"]: x["Value"] for x in rows if x["Metric"] == "Recall" and x["Dataset"] == "Test"}, {"a": 1, "b": 0.5})

    def test_bad_input(self):
        from aloft_checks.nlp.suites import model_evaluation as evaluation

        t, predictions, probabilities = mails(n=60)
        for kind, want, make in (
            ("ValidationError", "3 labels for 2 texts", lambda: TextData(["a", "b"], label=[1, 2, 3])),
            ("DeepchecksValueError", "task_type must be one of", lambda: TextData(["a"], task_type="binary")),
            ("DeepchecksValueError", "is needed", lambda: TextData()),
            ("DeepchecksValueError", "not one text", lambda: TextData("abc")),
            ("DeepchecksValueError", "holds a int", lambda: TextData(["a", 1])),
            ("ValidationError", "text 1 has one of the labels", lambda: TextData(["a", "b"], label=[[0, 1], 1], task_type="text_classification")),
            ("DeepchecksValueError", "metadata has 1 rows for 2", lambda: TextData(["a", "b"], metadata={"x": [1]})),
            ("DeepchecksValueError", "rows of embeddings", lambda: TextData(["a", "b"], embeddings=np.zeros((3, 2)))),
            ("DeepchecksNotSupportedError", "requires properties", lambda: TextData(["a"]).properties),
            ("DeepchecksNotImplementedError", "set_embeddings", lambda: TextData(["a"]).calculate_builtin_embeddings()),
            ("ValidationError", "59 predictions for 60 texts", lambda: evaluation().run(t, t, train_predictions=predictions[:59])),
            ("ValidationError", "sum up to 1", lambda: evaluation().run(t, t, train_probabilities=probabilities * 0.9)),
            ("ValidationError", "each of the classes a, b, c", lambda: evaluation().run(t, t, train_probabilities=probabilities, model_classes=["a", "b", "c"])),
            ("DeepchecksValueError", "must be given for both", lambda: evaluation().run(t, t, train_predictions=predictions)),
            ("DeepchecksValueError", "must be a TextData", lambda: evaluation().run(["a"])),
            ("DatasetValidationError", "different tasks", lambda: evaluation().run(t, TextData(["a"]))),
            ("TypeError", "it has model_classes", lambda: evaluation().run(t, y_pred=1)),
        ):
            with self.subTest(want), self.assertRaisesRegex(Exception, want) as caught:
                make()
            self.assertEqual(type(caught.exception).__name__, kind, want)

    def test_under_deepchecks_name(self):
        script = "from deepchecks.nlp import TextData; from deepchecks.nlp.suites import data_integrity; from deepchecks.nlp.checks import TextDuplicates; print(TextDuplicates().run(TextData(['a', 'a'])).value['percent_of_duplicates'])"
        path = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
        out = subprocess.run([sys.executable, "-c", script], env=dict(os.environ, PYTHONPATH=path), capture_output=True, text=True)
        self.assertEqual(out.stdout.strip(), "0.5", out.stderr)


_RANK = """
import json, os, sys
sys.path.insert(0, %r)
import test_bridge as t
from aloft_checks.core import errors
rank, n = int(os.environ["SKYPILOT_NODE_RANK"]), int(os.environ["SKYPILOT_NUM_NODES"])
whole = [b for b in t.batches(n=6)]
try:
    if %r == "images":
        r = t.full_suite().run(t.VisionData(whole[rank::n], "classification"), t.VisionData(whole[rank::n], "classification"))
        r = t.data_integrity().run(t.VisionData(whole[rank::n], "classification"))
    else:
        from aloft_checks.tabular.suites import data_integrity
        r = data_integrity().run(t.Dataset({"x": [i for i in range(300) if i %% n == rank], "k": [1] * (300 // n)}))
    print(json.dumps({"rows": r.report["rows"], "ranks": r.report.get("ranks"), "values": {c["check"]: c["value"] for c in r.report["checks"]}}))
except errors.DeepchecksBaseError as e:
    print(json.dumps({"error": str(e)}))
"""


class Ranks(unittest.TestCase):
    def ranks(self, kind, start=(0, 1, 2), secrets=None, **env):
        with socket.socket() as s:
            s.bind(("127.0.0.1", 0))
            port = s.getsockname()[1]
        processes = {}
        for rank in start:
            own = dict(os.environ, SKYPILOT_NODE_RANK=str(rank), SKYPILOT_NUM_NODES="3", SKYPILOT_NODE_IPS="127.0.0.1\n127.0.0.1\n127.0.0.1",
                       ALOFT_BRIDGE_PORT=str(port), ALOFT_JOB_SECRET=(secrets or {}).get(rank, "ab" * 32), **env)
            script = _RANK % (os.path.dirname(os.path.abspath(__file__)), kind)
            processes[rank] = subprocess.Popen([sys.executable, "-c", script], env=own, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        out = {}
        for rank, p in processes.items():
            text, err = p.communicate(timeout=120)
            self.assertEqual(p.returncode, 0, err)
            out[rank] = json.loads(text)
        return out

    def test_images(self):
        got = self.ranks("images")
        alone = data_integrity().run(VisionData([b for r in range(3) for b in list(batches(n=6))[r::3]], "classification"))
        for rank in got:
            self.assertEqual(got[rank]["rows"], {"train": 150})
            self.assertEqual(got[rank]["ranks"], 3)
            self.assertEqual(got[rank]["values"], {c["check"]: c["value"] for c in alone.report["checks"]})

    def test_tables(self):
        got = self.ranks("tables")
        for rank in got:
            self.assertEqual(got[rank]["rows"], {"train": 300})
            self.assertEqual(got[rank]["ranks"], 3)
            self.assertEqual(got[rank]["values"]["IsSingleValue"], {"x": 300, "k": 1})

    def test_missing_rank(self):
        got = self.ranks("images", start=(0, 1), ALOFT_RANKS_TIMEOUT="3s")
        self.assertIn("rank 2 did not give its part within 3s", got[0]["error"])
        self.assertIn("ranks=1", got[1]["error"])

    def test_stranger(self):
        got = self.ranks("images", secrets={2: "cd" * 32}, ALOFT_RANKS_TIMEOUT="4s")
        self.assertIn("rank 2 did not give its part", got[0]["error"])
        self.assertIn("could not give its part to rank 0", got[2]["error"])


if __name__ == "__main__":
    unittest.main()
