"""Data and weights that are missing, damaged or do not fit end in one clear line on any number of ranks."""
import gzip
import struct
import unittest

from launcher import SMALL_MODEL, LauncherTest, idx_bytes, read_safetensors, write_idx_data, write_safetensors


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
        self.expect_error(["where they are", "--data-dir"], "train", "--dataset", "mnist")
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

    def test_labels_out_of_range(self):
        self.labels.write_bytes(idx_bytes([60], bytes([10]) * 60))
        self.expect_error([self.labels.name, "10"], *self.train)

    def test_one_class_only(self):
        self.labels.write_bytes(idx_bytes([60], bytes([7]) * 60))
        self.succeed(2, *self.train)

    def test_shapes_of_training_and_test_images_that_differ(self):
        write_idx_data(self.folder / "other", side=6)
        name = "t10k-images-idx3-ubyte"
        (self.data / name).write_bytes((self.folder / "other" / name).read_bytes())
        self.expect_error(["5", "6"], *self.train, ranks=[2])


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

    def test_a_checkpoint_is_not_resumed_from_mere_weights(self):
        (self.folder / "run" / "checkpoint.safetensors").write_bytes(self.sound.read_bytes())
        self.expect_error("is no checkpoint", "train", "--resume", "--output", "run", ranks=[1, 2])


if __name__ == "__main__":
    unittest.main(verbosity=2)
