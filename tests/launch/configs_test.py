"""Every configuration says what it shows, and runs: on the built-in digits, or on small files in place of its data."""
import unittest

from launcher import ROOT, LauncherTest, random_bytes, write_idx_data

CONFIGS = sorted((ROOT / "configs").glob("*.cfg"))


class Configurations(LauncherTest):
    def test_open_with_what_they_show(self):
        self.assertTrue(CONFIGS)
        for path in CONFIGS:
            with self.subTest(path.name):
                first = path.read_text(encoding="utf-8").splitlines()[0]
                self.assertRegex(first, r"^# \w.{30,}")

    def test_train(self):
        write_idx_data(self.folder / "data", train=80, test=40, side=28)
        for name in ("data_batch_1", "data_batch_2", "data_batch_3", "data_batch_4", "data_batch_5", "test_batch"):
            images = [bytes([i % 10]) + random_bytes(3072, i) for i in range(20)]
            (self.folder / "data" / f"{name}.bin").write_bytes(b"".join(images))
        for path in CONFIGS:
            if path.name.startswith("study_"):
                continue  # for lockstep compare
            with self.subTest(path.name):
                result = self.succeed(2, "train", "--config", path, "--data-dir", "data", "--epochs", "1",
                                      "--warmup-epochs", "0", "--train-samples", "64", "--test-samples", "16",
                                      "--output", path.stem)
                self.assertTrue(result.fingerprint)


if __name__ == "__main__":
    unittest.main(verbosity=2)
