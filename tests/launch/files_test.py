"""Data and weights that are missing, damaged or do not fit end in one clear line on any number of ranks."""
import gzip
import math
import struct
import unittest

from launcher import (RANKS, SMALL_MODEL, LauncherTest, idx_bytes, read_metadata, read_safetensors, write_idx_data,
                      write_safetensors)


class DataFiles(LauncherTest):
    def setUp(self):
        super().setUp()
        self.data = write_idx_data(self.folder / "data")
        self.images = self.data / "train-images-idx3-ubyte"
        self.labels = self.data / "train-labels-idx1-ubyte"
        self.train = ["train", "--dataset", "mnist", "--data-dir", self.data, *SMALL_MODEL, "--epochs", "1",
                      "--batch-size", "8"]

    def test_sound_files_plain_and_compressed(self):
        plain = self.succeed(2, *self.train)
        self.images.with_suffix(".gz").write_bytes(gzip.compress(self.images.read_bytes()))
        self.images.unlink()
        self.assertEqual(self.succeed(2, *self.train).fingerprint, plain.fingerprint)

    def test_missing(self):
        self.expect_error(["where they are", "data-dir"], "train", "--dataset", "mnist")
        self.expect_error(["nowhere", "no such file"], "train", "--dataset", "mnist", "--data-dir", "nowhere")
        self.labels.unlink()
        self.expect_error([self.labels.name, "no such file"], *self.train)

    def test_truncated(self):
        whole = self.images.read_bytes()
        for length in (0, 3, 10, len(whole) - 1):
            self.images.write_bytes(whole[:length])
            self.expect_error(self.images.name, *self.train, ranks=[2])
        self.images.unlink()
        compressed = self.images.with_suffix(".gz")
        compressed.write_bytes(gzip.compress(whole)[:-20])
        self.expect_error(compressed.name, *self.train)

    def test_corrupt(self):
        whole = self.images.read_bytes()
        for what, content in (
                ("magic", b"\x01" + whole[1:]), ("type", whole[:2] + b"\x0d" + whole[3:]),
                ("dimensions", whole[:3] + b"\x01" + whole[4:]), ("too long", whole + b"x"),
                ("count", idx_bytes([59, 5, 5], whole[16:16 + 59 * 25])), ("empty images", idx_bytes([60, 0, 5], b"")),
                ("no images", idx_bytes([0, 5, 5], b"")),
                ("overflow", whole[:4] + struct.pack(">3I", *[2**32 - 1] * 3) + whole[16:]),
                ("overflow to 0", whole[:4] + struct.pack(">3I", 2**31, 2**31, 4) + whole[16:])):
            with self.subTest(what):
                self.images.write_bytes(content)
                self.expect_error("train-", *self.train, ranks=[2])

    def test_labels_beyond_the_classes(self):
        self.labels.write_bytes(idx_bytes([60], bytes([9] * 33 + [10] * 27)))
        self.expect_error(["10 outputs", "11 classes", "linear 11"], *self.train)  # the labels say so
        self.expect_error(["classes is 10", "training sample 33", "label 10"], *self.train, "--classes", "10")
        for value in ("0", "-1", "257"):
            self.expect_error(["classes", value], *self.train, "--classes", value, ranks=[2])

    def test_more_classes_than_the_labels_say(self):
        self.expect_error(["10 outputs", "12 classes"], *self.train, "--classes", "12", ranks=[2])
        result = self.succeed(2, *self.train[:-6], "--model", "batchnorm, linear 12", "--classes", "12", "--epochs", "1",
                              "--output", "run")
        self.assertIn("  classes           12", result.lines)
        self.succeed(2, "evaluate", "--config", "run/config.cfg", "--weights", "run/model.safetensors")

    def test_the_layout_of_torchvision(self):
        plain = self.succeed(2, *self.train)
        below = self.folder / "root" / "FashionMNIST" / "raw"
        below.parent.mkdir(parents=True)
        self.data.rename(below)
        for name in ("train-images", "train-labels", "t10k-images", "t10k-labels"):
            for file in below.glob(name + "-*"):
                file.rename(below / (name + "." + file.name.removeprefix(name + "-")))
        words = [self.folder / "root" if word == self.data else word for word in self.train]
        self.assertEqual(self.succeed(2, *words).fingerprint, plain.fingerprint)
        self.expect_error(["no such file", "MNIST/raw", "train-images.idx3-ubyte.gz"], *self.train)

    def test_one_class_only(self):
        self.labels.write_bytes(idx_bytes([60], bytes([7]) * 60))
        self.succeed(2, *self.train)

    def test_shapes_of_training_and_test_images_that_differ(self):
        write_idx_data(self.folder / "other", side=6)
        name = "t10k-images-idx3-ubyte"
        (self.data / name).write_bytes((self.folder / "other" / name).read_bytes())
        self.expect_error(["5", "6"], *self.train, ranks=[2])


class ManyClasses(LauncherTest):
    """Letters of EMNIST have labels 1 to 26; other sets have more."""

    def evaluate(self, classes):
        data = write_idx_data(self.folder / f"letters-{classes}", train=4 * classes, test=3 * classes,
                              classes=classes)
        for file in list(data.iterdir()):
            file.rename(data / ("emnist-letters-" + file.name.replace("t10k", "test")))
        run = self.folder / f"run-{classes}"
        self.succeed(2, "train", "--dataset", "mnist", "--data-dir", data, "--model", f"batchnorm, linear {classes}",
                     "--epochs", "1", "--classes", str(classes), "--output", run)
        return [self.succeed(ranks, "evaluate", "--data-dir", data, "--weights", run / "model.safetensors").lines
                for ranks in RANKS]

    def test_are_printed_readably(self):
        for classes in (27, 200):
            outputs = self.evaluate(classes)
            for lines in outputs:
                self.assertEqual(lines, outputs[0])
            begin = next(i for i, line in enumerate(outputs[0]) if line.split()[:2] == ["class", "samples"])
            rows = [line for line in outputs[0][begin + 1:] if line.split()[0].isdigit()]
            self.assertLessEqual(max(map(len, rows)), 110)
            self.assertEqual(sum(int(row.split()[1]) for row in rows), 3 * classes)
            shares = [float(row.split()[2]) / 100 * int(row.split()[1]) for row in rows]
            accuracy = next(float(line.split()[1]) for line in outputs[0] if line.startswith("  accuracy"))
            self.assertAlmostEqual(sum(shares) / (3 * classes) * 100, accuracy, delta=0.02)


class Weights(LauncherTest):
    def setUp(self):
        super().setUp()
        self.small = ["--train-samples", "96", "--test-samples", "40", *SMALL_MODEL]
        self.succeed(2, "train", *self.small, "--epochs", "1", "--output", "run")
        self.sound = self.folder / "run" / "model.safetensors"
        self.bad = self.folder / "bad.safetensors"

    def expect_refusal(self, what, ranks=None):
        self.expect_error(what, "train", *self.small, "--epochs", "1", "--init-from", self.bad, ranks=ranks)
        self.expect_error(what, "evaluate", *self.small, "--weights", self.bad, ranks=[2])

    def test_missing(self):
        self.expect_refusal([self.bad.name, "no such file"])

    def test_truncated(self):
        whole = self.sound.read_bytes()
        for length in (0, 7, 8, 100, len(whole) - 1):
            self.bad.write_bytes(whole[:length])
            self.expect_refusal(self.bad.name, ranks=[2])

    def test_a_header_that_lies(self):
        whole = self.sound.read_bytes()
        length = struct.unpack("<Q", whole[:8])[0]
        header, data = whole[8:8 + length], whole[8 + length:]

        def with_header(text):
            return struct.pack("<Q", len(text)) + text + data

        for what, content in (("length", struct.pack("<Q", 2**63) + whole[8:]),
                              ("length of all", struct.pack("<Q", len(whole)) + whole[8:]),
                              ("no JSON", with_header(b"{" + header)), ("a list", with_header(b"[]")),
                              ("type", with_header(header.replace(b'"F32"', b'"F31"'))),
                              ("shape", with_header(header.replace(b"[12]", b"[13]"))),
                              ("overflow", with_header(header.replace(b"[12]", b"[4611686018427387907,4]"))),
                              ("offsets", with_header(header.replace(b'"data_offsets":[', b'"data_offsets":[9'))),
                              ("deep", with_header(b"[" * 100000))):
            with self.subTest(what):
                self.assertNotEqual(content, whole, "the header is not as the test thinks")
                self.bad.write_bytes(content)
                self.expect_refusal(self.bad.name, ranks=[2])

    def test_weights_that_do_not_fit_the_model(self):
        tensors = read_safetensors(self.sound)
        less = dict(tensors)
        less.pop("1.bias")
        write_safetensors(self.bad, less)
        self.expect_refusal("1.bias", ranks=[1, 2])
        write_safetensors(self.bad, tensors | {"9.weight": ("F32", [1], bytes(4))})
        self.expect_refusal("9.weight", ranks=[2])
        kind, shape, values = tensors["1.weight"]
        write_safetensors(self.bad, tensors | {"1.weight": (kind, shape[::-1], values)})
        self.expect_refusal(["1.weight", "[784, 12]"], ranks=[2])

    def test_values_that_no_training_can_have(self):
        sound = read_safetensors(self.sound)
        for name, index, value, place in (("1.weight", 784 + 3, math.nan, "[1, 3]"), ("3.running_mean", 2, math.inf, "[2]"),
                                          ("3.running_var", 5, -1.0, "[5]"), ("0.running_var", 9, math.nan, "[9]")):
            kind, shape, values = sound[name]
            changed = bytearray(values)
            struct.pack_into("<f", changed, 4 * index, value)
            write_safetensors(self.bad, sound | {name: (kind, shape, bytes(changed))})
            self.expect_refusal([name, f"{value:g} at {place}"], ranks=[1, 2])
            checkpoint = self.folder / "run" / "checkpoint.safetensors"
            whole = checkpoint.read_bytes()
            write_safetensors(checkpoint, read_safetensors(checkpoint) | {name: (kind, shape, bytes(changed))},
                              read_metadata(checkpoint))
            self.expect_error([name, place], "train", "--resume", "--output", "run", ranks=[2])
            checkpoint.write_bytes(whole)
        write_safetensors(self.bad, sound | {"0.num_batches_tracked": ("I64", [], struct.pack("<q", -1))})
        self.expect_refusal(["0.num_batches_tracked", "-1"], ranks=[1, 2])

    def test_a_checkpoint_is_not_resumed_from_mere_weights(self):
        (self.folder / "run" / "checkpoint.safetensors").write_bytes(self.sound.read_bytes())
        self.expect_error("is no checkpoint", "train", "--resume", "--output", "run", ranks=[1, 2])


if __name__ == "__main__":
    unittest.main(verbosity=2)
