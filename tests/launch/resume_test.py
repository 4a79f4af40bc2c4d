"""A run or a study is resumed from whatever state its folder is in, or refused without a trace."""
import os
import shutil
import signal
import unittest

from launcher import (RANKS, SMALL_MODEL, LauncherTest, finish, rank_processes, read_metrics, run, start, wait_for,
                      write_idx_data)

SMALL = [*SMALL_MODEL, "--train-samples", "96", "--test-samples", "40", "--batch-size", "8", "--replicas", "4"]
STUDY = ["compare", *SMALL_MODEL, "--train-samples", "96", "--test-samples", "40", "--epochs", "1", "--global-batch",
         "16", "--modes", "local,sync", "--batch-sizes", "4,8", "--seeds", "1"]


def contents(folder):
    """Everything in a folder, to the byte, but for the lock that a killed process left."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*"))
            if path.is_file() and path.name != ".lock"}


def metrics_lines(folder):
    return [{key: value for key, value in entry.items() if "second" not in key}
            for entry in read_metrics(folder / "metrics.jsonl")]


class Resuming(LauncherTest):
    def train(self, *words, output="run", ranks=2):
        return self.succeed(ranks, "train", *words, "--output", output)

    def resume(self, *words, output="run", ranks=2):
        return self.succeed(ranks, "train", "--resume", "--output", output, *words)

    def refuse(self, what, *words, output="run", ranks=None):
        """The same line on every number of ranks, and not a byte in the folder is another."""
        before = contents(self.folder / output)
        self.expect_error(what, "train", "--output", output, *words, ranks=ranks)
        self.assertEqual(contents(self.folder / output), before)

    def only(self, *names, whole="whole", output="run"):
        """A folder with some of the files of a whole run."""
        folder = self.folder / output
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        for name in names:
            shutil.copy(self.folder / whole / name, folder / name)
        return folder


class States(Resuming):
    """What a folder may hold, and what a new run and a resumed one make of it: see launch/run_folder.hpp."""

    def setUp(self):
        super().setUp()
        self.words = [*SMALL, "--epochs", "3", "--learning-rate", "0.05"]
        self.fingerprint = self.train(*self.words, output="whole").fingerprint

    def expect_whole(self, result):
        self.assertEqual(result.fingerprint, self.fingerprint)
        self.assertEqual(metrics_lines(self.folder / "run"), metrics_lines(self.folder / "whole"))
        self.assertEqual((self.folder / "run" / "config.cfg").read_text(),
                         (self.folder / "whole" / "config.cfg").read_text())

    def test_nothing(self):
        self.expect_error("nothing to resume", "train", "--resume", "--output", "run")
        self.assertFalse((self.folder / "run").exists())
        self.only()
        self.refuse("nothing to resume", "--resume", *self.words)
        self.expect_whole(self.train(*self.words))

    def test_files_of_others_are_left_alone(self):
        for name in ("notes.txt", ".metrics.jsonl.1.0.partial"):
            (self.only() / name).write_text("mine")
            self.refuse("nothing to resume", "--resume", ranks=[2])
            self.expect_whole(self.train(*self.words))
            self.assertEqual((self.folder / "run" / name).read_text(), "mine")

    def test_a_configuration_alone(self):
        self.only("config.cfg")
        self.expect_whole(self.train(*self.words))
        for ranks in RANKS:
            self.only("config.cfg")
            result = self.resume(ranks=ranks)
            self.assertIn("no checkpoint yet: begins from the beginning", result.out)
            self.expect_whole(result)

    def test_a_run_without_a_checkpoint(self):
        for ranks in RANKS:
            self.only("config.cfg", "metrics.jsonl")
            self.refuse(["holds a run already", "no checkpoint yet", "--resume"], *self.words, ranks=[ranks])
            result = self.resume(ranks=ranks)
            self.assertIn("no checkpoint yet: begins from the beginning", result.out)
            self.expect_whole(result)

    def test_a_run_without_a_checkpoint_may_change_its_settings(self):
        self.train(*SMALL, "--epochs", "3", "--learning-rate", "0.5", output="other")
        self.only("config.cfg", "metrics.jsonl", whole="other")
        self.expect_whole(self.resume("--learning-rate", "0.05"))

    def test_a_checkpoint(self):
        self.train(*self.words[:-3], "1", *self.words[-2:])
        self.refuse(["holds a run already", "--resume"], *self.words)
        self.expect_whole(self.resume("--epochs", "3"))

    def test_a_checkpoint_without_a_configuration(self):
        for ranks in RANKS:
            self.only("checkpoint.safetensors")
            self.refuse(["holds a run already", "--resume"], *self.words, ranks=[ranks])
            self.refuse(["learning rate was 0.05, and is 0.1"], "--resume", *SMALL, "--epochs", "3", ranks=[ranks])
            self.assertEqual(self.resume(*self.words, ranks=ranks).fingerprint, self.fingerprint)
            self.assertTrue((self.folder / "run" / "model.safetensors").exists())
            self.resume()

    def test_metrics_alone(self):
        self.only("metrics.jsonl")
        for words in (self.words, ["--resume"], ["--resume", *self.words]):
            self.refuse("remove it", *words)
        (self.folder / "run" / "metrics.jsonl").unlink()
        self.expect_whole(self.train(*self.words))

    def test_killed_before_the_first_checkpoint(self):
        words = [*SMALL, "--learning-rate", "0.05", "--epochs", "100000", "--checkpoint-every", "100000"]
        for ranks in RANKS:
            shutil.rmtree(self.folder / "run", ignore_errors=True)
            process = start(ranks, "train", *words, "--output", "run", folder=self.folder)
            wait_for(lambda: (self.folder / "run" / "metrics.jsonl").exists())
            for pid in wait_for(lambda: rank_processes(process)).values():
                os.kill(pid, signal.SIGKILL)
            finish(process, 0)
            self.refuse("--resume", *words, ranks=[ranks])
            self.expect_whole(self.resume("--epochs", "3", "--checkpoint-every", "1", ranks=ranks))

    def test_diverged_before_the_first_checkpoint(self):
        words = [*SMALL, "--epochs", "3"]
        self.expect_error("no longer finite", "train", *words, "--learning-rate", "1e30", "--output", "run", ranks=[2])
        self.refuse("--resume", *self.words)
        self.expect_whole(self.resume("--learning-rate", "0.05"))

    def test_a_study(self):
        self.succeed(2, *STUDY, "--output", "run")
        self.refuse("holds a study", *self.words)

    def test_what_a_killed_process_left_is_cleared_away(self):
        self.train(*self.words[:-3], "1", *self.words[-2:])
        for name in ("checkpoint.safetensors", "config.cfg"):
            (self.folder / "run" / f".{name}.0badcafe-17-0.partial").write_text("half")
            os.utime(self.folder / "run" / f".{name}.0badcafe-17-0.partial", (0, 0))
        self.expect_whole(self.resume("--epochs", "3"))
        self.assertEqual([name for name in os.listdir(self.folder / "run") if name.endswith(".partial")], [])


class Needs(Resuming):
    """A resumed run needs its folder and its data, and nothing else."""

    def setUp(self):
        super().setUp()
        write_idx_data(self.folder / "data")
        self.model = ["--model", "batchnorm, linear 6, relu, linear 10", "--batch-size", "4", "--replicas", "4"]
        self.words = ["--dataset", "mnist", "--data-dir", "data", *self.model]
        self.train(*self.words, "--epochs", "1", output="before")
        (self.folder / "before" / "model.safetensors").rename(self.folder / "init.safetensors")
        self.from_weights = [*self.words, "--init-from", "init.safetensors"]
        self.fingerprint = self.train(*self.from_weights, "--epochs", "3", output="whole").fingerprint
        (self.folder / "elsewhere").mkdir()

    def test_no_initial_weights_and_no_working_directory(self):
        self.train(*self.from_weights, "--epochs", "1")
        (self.folder / "init.safetensors").unlink()
        (self.folder / "elsewhere").mkdir(exist_ok=True)
        for ranks, epochs in zip(RANKS, range(2, 5)):
            result = run(ranks, "train", "--resume", "--output", "../run", "--epochs", epochs,
                         folder=self.folder / "elsewhere")
            self.assertEqual(result.code, 0, result)
            if epochs == 3:
                self.assertEqual(result.fingerprint, self.fingerprint)

    def test_initial_weights_as_long_as_there_is_no_checkpoint(self):
        self.only("config.cfg", "metrics.jsonl")
        (self.folder / "init.safetensors").rename(self.folder / "kept")
        self.refuse(["init.safetensors", "no checkpoint yet", "--init-from"], "--resume")
        (self.folder / "kept").rename(self.folder / "init.safetensors")
        result = run(2, "train", "--resume", "--output", "../run", folder=self.folder / "elsewhere")
        self.assertEqual(result.code, 0, result)
        self.assertEqual(result.fingerprint, self.fingerprint)

    def test_other_initial_weights_are_refused(self):
        shutil.copytree(self.folder / "whole", self.folder / "run")
        self.refuse(["initial weights was ", "init.safetensors, and is ", "other.safetensors"], "--resume",
                    "--init-from", "other.safetensors")

    def test_paths_in_the_configuration_are_absolute(self):
        config = (self.folder / "whole" / "config.cfg").read_text()
        self.assertIn(f"data-dir = {self.folder.resolve()}/data\n", config)
        self.assertIn(f"init-from = {self.folder.resolve()}/init.safetensors\n", config)

    def test_the_data_may_move_but_not_change(self):
        self.train(*self.words, "--epochs", "1")
        (self.folder / "data").rename(self.folder / "moved")
        self.refuse("data", "--resume", "--epochs", "2", ranks=[2])
        self.resume("--data-dir", "moved", "--epochs", "2")
        self.assertIn("/moved\n", (self.folder / "run" / "config.cfg").read_text())
        write_idx_data(self.folder / "other", train=59, test=20)
        os.remove(self.folder / "other" / "t10k-images-idx3-ubyte")
        for name in ("t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"):
            shutil.copy(self.folder / "moved" / name, self.folder / "other" / name)
        self.refuse(["training data was 60 samples", "59 samples"], "--resume", "--data-dir", "other", "--epochs", "3")

    def test_nor_may_the_test_data(self):
        self.train(*self.words, "--epochs", "1")
        shutil.copytree(self.folder / "data", self.folder / "other")
        labels = self.folder / "other" / "t10k-labels-idx1-ubyte"
        labels.write_bytes(labels.read_bytes()[:-1] + bytes([3]))
        self.refuse("test data was 20 samples", "--resume", "--data-dir", "other", "--epochs", "2")
        self.refuse("test data was 20 samples", "--resume", "--test-samples", "10", "--epochs", "2", ranks=[2])


class Changes(Resuming):
    """With other settings a run is refused: what differs is named, old and new, and nothing else is."""

    CHANGES = [("learning-rate", "0.2", "learning rate was 0.1, and is 0.2"),
               ("batch-size", "4", "batch size was 8, and is 4"),
               ("replicas", "6", "replicas was 4, and is 6"),
               ("seed", "2", "seed was 1, and is 2"),
               ("bn", "local", "batch norm statistics was sync, and is local"),
               ("bn-momentum", "cumulative", "batch norm momentum was 0.1, and is cumulative"),
               ("bn-epsilon", "0.001", "batch norm epsilon was 1e-05, and is 0.001"),
               ("optimizer", "adamw", "optimizer was sgd, and is adamw"),
               ("schedule", "cosine", "schedule was constant, and is cosine"),
               ("weight-decay", "0.1", "weight decay was 0, and is 0.1"),
               ("shuffle", "false", "shuffle was yes, and is no"),
               ("input", "raw", "input was unit, and is raw"),
               ("reduction", "fast", "reduction was reproducible, and is fast"),
               ("augment-crop", "2", "augmentation crop was 0, and is 2"),
               ("precise-bn", "1", "precise batches was 0, and is 1")]

    def test_of_one_setting(self):
        self.train(*SMALL, "--epochs", "1")
        for number, (name, value, text) in enumerate(self.CHANGES):
            ranks = [RANKS[number % len(RANKS)]]
            self.refuse(f"belongs to a run with other settings: {text}. ", f"--{name}={value}", "--resume",
                        "--epochs", "2", ranks=ranks)

    def test_of_what_changes_no_bit_are_allowed(self):
        self.train(*SMALL, "--epochs", "1")
        self.resume("--epochs", "2", "--timeout", "77", "--checkpoint-every", "5")
        config = (self.folder / "run" / "config.cfg").read_text()
        for line in ("epochs = 2\n", "timeout = 77\n", "checkpoint-every = 5\n"):
            self.assertIn(line, config)

    def test_of_the_number_of_epochs_to_fewer(self):
        self.train(*SMALL, "--epochs", "2")
        self.refuse(["epochs: 1", "has completed 2"], "--resume", "--epochs", "1")

    def test_are_refused_in_whatever_state_the_metrics_are(self):
        self.train(*SMALL, "--epochs", "1")
        with open(self.folder / "run" / "metrics.jsonl", "a", encoding="ascii") as file:
            file.write('{"kind":"step","epoch":2,"step":0,"loss":1}\n{"kind":"st')
        self.refuse("seed was 1, and is 2", "--resume", "--epochs", "2", "--seed", "2")
        (self.folder / "run" / "metrics.jsonl").write_text("not a line\n")
        self.refuse(["metrics.jsonl", "line 1"], "--resume", "--epochs", "2", "--timeout", "7")


class Complete(Resuming):
    def stamps(self):
        return {path.name: (path.stat().st_mtime_ns, path.stat().st_ino) for path in (self.folder / "run").iterdir()}

    def test_nothing_is_written(self):
        first = self.train(*SMALL, "--epochs", "2")
        before = self.stamps()
        for ranks in RANKS:
            again = self.resume("--epochs", "2", ranks=ranks)
            self.assertEqual(again.fingerprint, first.fingerprint)
            self.assertIn("complete after epoch 2: nothing is left to do", again.out)
            self.assertEqual(self.stamps(), before)

    def test_what_is_missing_is_written(self):
        first = self.train(*SMALL, "--epochs", "2")
        before = contents(self.folder / "run")
        for name in ("model.safetensors", "config.cfg"):
            stamps = self.stamps()
            (self.folder / "run" / name).unlink()
            self.assertEqual(self.resume(*SMALL, "--epochs", "2").fingerprint, first.fingerprint)
            self.assertEqual(contents(self.folder / "run"), before)
            self.assertEqual({key: value for key, value in self.stamps().items() if key != name},
                             {key: value for key, value in stamps.items() if key != name})

    def test_weights_of_an_earlier_end_are_replaced(self):
        self.train(*SMALL, "--epochs", "1")
        early = (self.folder / "run" / "model.safetensors").read_bytes()
        self.resume("--epochs", "2")
        late = (self.folder / "run" / "model.safetensors").read_bytes()
        (self.folder / "run" / "model.safetensors").write_bytes(early)  # as if killed just before the end
        self.resume()
        self.assertEqual((self.folder / "run" / "model.safetensors").read_bytes(), late)


class Studies(Resuming):
    def compare(self, *words, ranks=2):
        return self.succeed(ranks, *STUDY, *words, "--output", "study")

    def refuse_study(self, what, *words):
        before = contents(self.folder / "study")
        self.expect_error(what, *words, "--output", "study")
        self.assertEqual(contents(self.folder / "study"), before)

    def test_states_of_the_folder(self):
        self.expect_error("nothing to resume", "compare", "--resume", "--output", "study", ranks=[2])
        study = self.folder / "study"
        study.mkdir()
        self.refuse_study("nothing to resume", "compare", "--resume")
        (study / "combinations").mkdir()  # killed at the very beginning
        self.refuse_study("nothing to resume", "compare", "--resume")
        self.compare()
        self.refuse_study(["holds a study already", "--resume"], *STUDY)
        shutil.rmtree(study / "combinations")
        self.assertIn("4 to compute", self.succeed(2, "compare", "--resume", "--output", "study").out)
        results = contents(study)
        (study / "config.cfg").unlink()
        self.refuse_study(["holds a study already", "--resume"], *STUDY)
        result = self.succeed(2, *STUDY, "--resume", "--output", "study")
        self.assertIn(" 0 to compute", result.out)
        self.assertEqual(contents(study), results)

    def test_only_what_differs_is_named(self):
        self.compare()
        for words, text in ((["--learning-rate", "0.2"], "learning rate was 0.1, and is 0.2"),
                            (["--epochs", "2"], "epochs was 1, and is 2"),
                            (["--test-samples", "30"], "test data was 40 samples")):
            self.refuse_study(f"was made with other settings: {text}", "compare", "--resume", *words)

    def test_a_run_is_no_study(self):
        self.train(*SMALL, "--epochs", "1", output="study")
        self.refuse_study("holds a run of lockstep train", *STUDY)
        self.refuse_study("holds a run of lockstep train", "compare", "--resume")

    def test_what_a_killed_process_left_is_cleared_away(self):
        self.compare()
        left = self.folder / "study" / "combinations" / ".sync-b4-s1.json.0badcafe-17-0.partial"
        left.write_text("half")
        os.utime(left, (0, 0))
        self.succeed(2, "compare", "--resume", "--output", "study")
        self.assertFalse(left.exists())


if __name__ == "__main__":
    unittest.main(verbosity=2)
