"""What the configurations for MNIST reach on real handwritten digits. Skipped where LOCKSTEP_DATA_DIR is unset."""
import os
import sys
import unittest

from launcher import ROOT, LauncherTest, read_metrics

DATA = os.environ.get("LOCKSTEP_DATA_DIR")


class Mnist(LauncherTest):
    def accuracy(self, config, *options):
        """In percent, on the test images after the last epoch."""
        self.succeed(2, "train", "--config", ROOT / "configs" / config, "--data-dir", DATA, "--output", "run", *options,
                     seconds=280)
        value = 100 * read_metrics(self.folder / "run" / "metrics.jsonl")[-1]["test_accuracy"]
        (self.folder / "run").rename(self.folder / f"run-{len(list(self.folder.iterdir()))}")
        print(f"{config} {' '.join(options)}: {value:.2f} %", flush=True)
        return value

    def test_synchronized_and_local_statistics(self):
        sync = self.accuracy("mnist_mlp.cfg", "--bn", "sync")
        self.assertGreaterEqual(sync, 96.0)
        self.assertLess(self.accuracy("mnist_mlp.cfg", "--bn", "local", "--replicas", "32", "--batch-size", "2"),
                        sync - 5)
        self.assertAlmostEqual(
            self.accuracy("mnist_mlp.cfg", "--bn", "local", "--replicas", "2", "--batch-size", "32"), sync, delta=1)

    def test_batch_norm_before_the_activation(self):
        self.assertGreaterEqual(self.accuracy("mnist_mlp_bn_before_activation.cfg"), 96.0)

    def test_a_first_batch_norm_replaces_standardizing(self):
        self.assertGreater(self.accuracy("mnist_raw_with_batchnorm.cfg"), 94)
        self.assertLess(self.accuracy("mnist_raw_without_batchnorm.cfg"), 50)


if __name__ == "__main__":
    if not DATA:
        print("skipped: LOCKSTEP_DATA_DIR is not set")
        sys.exit(77)
    unittest.main(verbosity=2)
