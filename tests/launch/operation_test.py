"""A run that is left alone: stopped by signals, killed, requeued, its checkpoints damaged, started twice."""
import contextlib
import fcntl
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import time
import unittest

from launcher import (LAUNCHER, OPEN_MPI_4, RANKS, SMALL_MODEL, LauncherTest, ancestors_of, command_line, finish,
                      rank_processes, read_metrics, start, wait_for)

RECIPE = ["train", "--train-samples", "203", "--test-samples", "101", "--batch-size", "4", "--replicas", "6", "--bn",
          "group:2", "--model", "batchnorm, linear 12, relu, batchnorm, dropout 0.1, linear 10", "--schedule", "cosine",
          "--weight-decay", "0.01"]
# Long enough to be interrupted: with a checkpoint every epoch, and without.
EPOCHS, MANY_EPOCHS = "150", "600"
NEVER = ["--checkpoint-every", "100000"]
STOPPED = 75


def lines_without_times(folder):
    return [{key: value for key, value in entry.items() if "second" not in key}
            for entry in read_metrics(folder / "metrics.jsonl")]


class Operation(LauncherTest):
    def setUp(self):
        super().setUp()
        self.run_folder = self.folder / "run"

    def start(self, ranks, *words):
        process = start(ranks, *RECIPE, "--output", "run", *words, folder=self.folder)
        self.addCleanup(process.kill)
        return process

    def pids(self, process, ranks):
        """When the run is under way."""
        metrics = self.run_folder / "metrics.jsonl"
        wait_for(lambda: metrics.exists() and metrics.stat().st_size > 0)
        return wait_for(lambda: len(found := rank_processes(process)) == ranks and found)

    def kill(self, process, ranks):
        for pid in self.pids(process, ranks).values():
            with contextlib.suppress(ProcessLookupError):  # mpirun ends the others as soon as one has gone
                os.kill(pid, signal.SIGKILL)
        finish(process, 0)
        self.assertFalse((self.run_folder / "model.safetensors").exists(), "it was done too soon")

    def resume(self, ranks, *words):
        return self.succeed(ranks, "train", "--resume", "--output", "run", *words)

    def clear(self):
        shutil.rmtree(self.run_folder, ignore_errors=True)


class Whole(Operation):
    """Tests that compare with a run that nothing has disturbed."""

    @classmethod
    def setUpClass(cls):
        cls.whole = {}

    def expect_whole(self, result, epochs=EPOCHS):
        if epochs not in self.whole:
            undisturbed = self.succeed(1, *RECIPE, "--epochs", epochs, "--output", "whole")
            self.whole[epochs] = (undisturbed.fingerprint, lines_without_times(self.folder / "whole"))
        fingerprint, lines = self.whole[epochs]
        self.assertEqual(result.fingerprint, fingerprint)
        self.assertEqual(lines_without_times(self.run_folder), lines)


class Signals(Whole):
    def expect_stopped(self, result, name, codes=(STOPPED,)):
        self.assertIn(result.code, codes, result)
        self.assertEqual(result.error_lines, [], result)
        stopped = [line for line in result.lines if line.startswith("stopped by")]
        self.assertEqual(len(stopped), 1, result)
        self.assertRegex(stopped[0], rf"^stopped by {name} after epoch \d+(, step \d+ of 9)?: go on with "
                                     "lockstep train --resume --output run$")
        self.assertEqual(sorted(os.listdir(self.run_folder)),
                         ["checkpoint.safetensors", "config.cfg", "metrics.jsonl"])
        return stopped[0]

    def test_to_one_rank_stop_all_at_one_step(self):
        names = ["SIGTERM", "SIGINT", "SIGHUP", "SIGUSR1"]
        for name, ranks in zip(names, (RANKS * 4)[:4]):
            with self.subTest(name=name, ranks=ranks):
                self.clear()
                process = self.start(ranks, "--epochs", MANY_EPOCHS, *NEVER)
                os.kill(self.pids(process, ranks)[ranks - 1], getattr(signal, name))
                stopped = self.expect_stopped(finish(process, 0), name)
                result = self.resume(1 + ranks % 3)
                self.assertIn(re.search("after epoch [^:]*", stopped)[0].replace("after", "resumed after"), result.out)
                self.expect_whole(result, MANY_EPOCHS)

    def test_to_all_ranks_at_once(self):
        ranks = RANKS[-1]
        process = self.start(ranks, "--epochs", MANY_EPOCHS, *NEVER)
        for pid in self.pids(process, ranks).values():
            os.kill(pid, signal.SIGTERM)
        self.expect_stopped(finish(process, 0), "SIGTERM")
        self.expect_whole(self.resume(1), MANY_EPOCHS)

    def test_again_and_again(self):
        process = self.start(2, "--epochs", MANY_EPOCHS, *NEVER)
        self.pids(process, 2)
        for ranks in (3, 1, 2):
            for pid in rank_processes(process).values():
                os.kill(pid, signal.SIGUSR1)
            if finish(process, 0).code == 0:
                break
            size = (self.run_folder / "metrics.jsonl").stat().st_size
            process = start(ranks, "train", "--resume", "--output", "run", folder=self.folder)
            wait_for(lambda: (self.run_folder / "metrics.jsonl").stat().st_size > size or process.poll() is not None)
        process.communicate()
        self.expect_whole(self.resume(2), MANY_EPOCHS)

    def mpirun_of(self, pids):
        for ancestor in ancestors_of(pids[0]):
            if re.match("mpirun|mpiexec", pathlib.Path(f"/proc/{ancestor}/comm").read_text()):
                return ancestor
        self.skipTest("an mpirun of another name")

    def test_to_mpirun(self):
        names, codes = ["SIGUSR1"], [STOPPED]
        if not OPEN_MPI_4:
            # MPICH's passes them on, and then returns the ranks' exit code or 0, by chance.
            names, codes = ["SIGUSR1", "SIGTERM", "SIGINT"], [STOPPED, 0]
        for name in names:
            self.clear()
            process = self.start(2, "--epochs", MANY_EPOCHS, *NEVER)
            os.kill(self.mpirun_of(self.pids(process, 2)), getattr(signal, name))
            self.expect_stopped(finish(process, 0), name, codes)
        self.expect_whole(self.resume(2), MANY_EPOCHS)

    def test_to_mpirun_that_leaves_its_ranks_the_time(self):
        if not OPEN_MPI_4:
            self.skipTest("another mpirun")
        environment = os.environ | {"OMPI_MCA_odls_base_sigkill_timeout": "4"}
        # Long epochs: mpirun does not pass output on meanwhile, and ranks that print too much wait for it.
        command = command_line(2, "train", *SMALL_MODEL, "--train-samples", "2000", "--batch-size", "1", "--output",
                               "run", "--epochs", "100000", *NEVER)
        with subprocess.Popen(command, cwd=self.folder, text=True, env=environment, stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
            os.kill(self.mpirun_of(self.pids(process, 2)), signal.SIGTERM)
            finish(process, 0)  # with mpirun's own exit code, and what it still passes on
        self.assertTrue((self.run_folder / "checkpoint.safetensors").exists())

    def test_a_second_one_ends_at_once(self):
        process = self.start(2, "--epochs", "100000", *NEVER)
        pids = self.pids(process, 2)
        os.kill(pids[1], signal.SIGSTOP)  # rank 0 waits for it, and cannot stop in order
        os.kill(pids[0], signal.SIGTERM)
        time.sleep(0.7)
        begin = time.monotonic()
        os.kill(pids[0], signal.SIGTERM)
        result = finish(process, begin)
        self.assertNotIn(result.code, (0, STOPPED, 124), result)
        self.assertFalse((self.run_folder / "checkpoint.safetensors").exists())

    def test_one_that_is_ignored_stays_ignored(self):
        def ignore():
            signal.signal(signal.SIGHUP, signal.SIG_IGN)

        with subprocess.Popen([LAUNCHER, *RECIPE, "--output", "run", "--epochs", "100000", *NEVER], cwd=self.folder,
                              text=True, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                              env=os.environ | {"UCX_DEBUG_SIGNO": "0"},  # which UCX would take for itself
                              preexec_fn=ignore) as process:
            metrics = self.run_folder / "metrics.jsonl"
            wait_for(lambda: metrics.exists() and metrics.stat().st_size > 0)
            process.send_signal(signal.SIGHUP)
            time.sleep(0.3)
            self.assertIsNone(process.poll())
            process.send_signal(signal.SIGTERM)
            self.expect_stopped(finish(process, 0), "SIGTERM")


class WithinAnEpoch(Whole):
    def test_killed_and_resumed_on_another_number_of_ranks(self):
        for ranks in RANKS:
            with self.subTest(ranks=ranks):
                self.clear()
                process = self.start(ranks, "--epochs", EPOCHS, "--checkpoint-every", "4steps")
                wait_for(lambda: len(list(self.run_folder.glob("checkpoint*"))) > 1)
                self.kill(process, ranks)
                result = self.resume(1 + ranks % 3)
                self.assertRegex(result.out, r"  resumed after epoch \d+")
                self.expect_whole(result)

    def test_every_step_is_one_to_go_on_from(self):
        self.succeed(2, *RECIPE, "--epochs", "2", "--output", "run", "--checkpoint-every", "1steps",
                     "--keep-checkpoints", "100")
        checkpoints = sorted(self.run_folder.glob("checkpoint-previous*"))
        self.assertEqual(len(checkpoints), 17)  # 2 epochs of 9 steps
        kept = self.folder / "kept"
        self.run_folder.rename(kept)
        for number, checkpoint in enumerate(checkpoints):
            self.clear()
            self.run_folder.mkdir()
            for name in ("config.cfg", "metrics.jsonl"):
                shutil.copy(kept / name, self.run_folder)
            shutil.copy(kept / checkpoint.name, self.run_folder / "checkpoint.safetensors")
            result = self.resume(1 + number % 4)
            self.assertIn("metrics.jsonl: dropped ", result.out)
            self.expect_whole(result, "2")

    def test_by_the_clock(self):
        process = self.start(2, "--epochs", "100000", "--checkpoint-every", "1s")
        wait_for((self.run_folder / "checkpoint.safetensors").exists)
        self.kill(process, 2)
        self.assertIn("resumed after epoch", finish(self.start_stopping(), 0).out)

    def start_stopping(self):
        """Resumes, and stops again: the run is too long."""
        process = start(2, "train", "--resume", "--output", "run", folder=self.folder)
        os.kill(wait_for(lambda: len(found := rank_processes(process)) == 2 and found)[0], signal.SIGCONT)
        time.sleep(1)
        for pid in rank_processes(process).values():
            os.kill(pid, signal.SIGTERM)
        return process

    def test_what_a_power_cut_leaves_of_the_metrics_is_dropped(self):
        process = self.start(2, "--epochs", EPOCHS, "--checkpoint-every", "4steps")
        wait_for(lambda: len(list(self.run_folder.glob("checkpoint*"))) > 1)
        self.kill(process, 2)
        with open(self.run_folder / "metrics.jsonl", "ab") as file:
            file.write(b'{"kind":"step","ep' + bytes(1000))
        result = self.resume(2)
        self.assertRegex(result.out, r"metrics.jsonl: dropped (\d+ lines? of later steps and )?\d+ bytes of torn lines")
        self.assertNotIn("missing", result.out)
        self.expect_whole(result)

    def test_of_damaged_metrics_what_is_whole_is_kept_and_the_gap_is_told(self):
        train = RECIPE[:-4]  # at a constant rate: more epochs are welcome
        self.succeed(1, *train, "--epochs", "3", "--output", "undisturbed")
        self.succeed(2, *train, "--epochs", "2", "--output", "run")
        metrics = self.run_folder / "metrics.jsonl"
        lines = metrics.read_bytes().splitlines(keepends=True)
        metrics.write_bytes(b"".join([*lines[:4], bytes(20) + lines[4][20:], *lines[5:]]))
        result = self.resume(2, "--epochs", "3")
        self.assertIn(f"metrics.jsonl: dropped {len(lines[4])} bytes of torn lines\n", result.out)
        self.assertIn("metrics.jsonl: lines of earlier steps are missing\n", result.out)
        whole = lines_without_times(self.folder / "undisturbed")
        self.assertEqual(lines_without_times(self.run_folder), [*whole[:4], *whole[5:]])


class Damage(Whole):
    def train(self, *words):
        self.succeed(2, *RECIPE, "--epochs", "4", "--output", "run", *words)

    def damage(self, name, at=-100):
        path = self.run_folder / name
        content = bytearray(path.read_bytes())
        content[at] ^= 4
        path.write_bytes(content)

    def names(self):
        return sorted(path.name for path in self.run_folder.glob("checkpoint*"))

    def test_of_the_newest_gives_way_to_the_one_before(self):
        for ranks in RANKS:
            self.clear()
            self.train()
            self.damage("checkpoint.safetensors")
            result = self.resume(ranks)
            notes = [line for line in result.lines if "goes on from checkpoint-previous.safetensors" in line]
            self.assertEqual(len(notes), 1, result)
            self.assertIn("does not have the checksum that it was written with", notes[0])
            self.assertIn("resumed after epoch 3", result.out)
            self.expect_whole(result, "4")
            self.assertEqual(self.names(), ["checkpoint-damaged.safetensors", "checkpoint-previous.safetensors",
                                            "checkpoint.safetensors"])

    def test_of_several(self):
        self.train("--keep-checkpoints", "3")
        self.assertEqual(self.names(), ["checkpoint-previous-2.safetensors", "checkpoint-previous.safetensors",
                                        "checkpoint.safetensors"])
        self.damage("checkpoint.safetensors")
        self.damage("checkpoint-previous.safetensors", at=40)
        result = self.resume(2)
        self.assertIn("goes on from checkpoint-previous-2.safetensors", result.out)
        self.assertIn("resumed after epoch 2", result.out)
        self.expect_whole(result, "4")
        self.assertEqual(self.names(), ["checkpoint-damaged-previous.safetensors", "checkpoint-damaged.safetensors",
                                        "checkpoint-previous-2.safetensors", "checkpoint-previous.safetensors",
                                        "checkpoint.safetensors"])

    def test_a_gap_hides_none_behind_it(self):
        """As a run leaves it that is killed before its first checkpoint, or while it makes room for the next one."""
        gone = ["checkpoint.safetensors", "checkpoint-previous.safetensors"]
        for missing, damaged in ((gone, []), (gone[1:], gone[:1]), (gone[:1], gone[1:])):
            with self.subTest(missing=missing):
                self.clear()
                self.train("--keep-checkpoints", "3")
                for name in missing:
                    (self.run_folder / name).unlink()
                for name in damaged:
                    self.damage(name)
                result = self.resume(2)
                self.assertIn("goes on from checkpoint-previous-2.safetensors", result.out)
                self.expect_whole(result, "4")
                self.assertEqual([name for name in self.names() if "damaged" not in name],
                                 ["checkpoint-previous-2.safetensors", "checkpoint-previous.safetensors",
                                  "checkpoint.safetensors"])

    def test_of_all_is_an_error_that_leaves_the_folder_alone(self):
        self.train()
        for name in self.names():
            self.damage(name)
        before = {path.name: path.read_bytes() for path in self.run_folder.iterdir()}
        self.expect_error(["checkpoint.safetensors", "is damaged"], "train", "--resume", "--output", "run")
        self.assertEqual({path.name: path.read_bytes() for path in self.run_folder.iterdir()}, before)

    def test_one_that_is_missing(self):
        self.train()
        (self.run_folder / "checkpoint.safetensors").unlink()
        result = self.resume(2)
        self.assertIn("checkpoint.safetensors is missing: goes on from checkpoint-previous.safetensors", result.out)
        self.expect_whole(result, "4")

    def test_how_many_are_kept(self):
        for keep in (1, 2, 3, 10**12):
            self.clear()
            self.train("--keep-checkpoints", keep)
            self.assertEqual(len(self.names()), min(keep, 4))
        self.resume(2, "--keep-checkpoints", "2", "--epochs", "4")  # complete: nothing is written
        self.assertEqual(len(self.names()), 4)

    def test_no_flip_of_a_byte_changes_a_result(self):
        """A sample; tests/mpi/train/checkpoint_damage_test.cpp does many."""
        self.train("--keep-checkpoints", "1")
        sound = (self.run_folder / "checkpoint.safetensors").read_bytes()
        for at in range(3, len(sound), len(sound) // 7):
            self.damage("checkpoint.safetensors", at)
            self.expect_error("checkpoint.safetensors", "train", "--resume", "--output", "run", ranks=[2])
            (self.run_folder / "checkpoint.safetensors").write_bytes(sound)


class InstructionSets(Operation):
    """Of matrix products, whose bits differ."""

    def with_set(self, name, *words):
        os.environ["LOCKSTEP_INSTRUCTION_SET"] = name
        try:
            return self.succeed(2, *words)
        finally:
            del os.environ["LOCKSTEP_INSTRUCTION_SET"]

    def test_a_run_goes_on_with_that_of_its_checkpoint(self):
        if "LOCKSTEP_INSTRUCTION_SET" in os.environ:
            self.skipTest("one is forced")
        train = [*RECIPE[:-4], "--epochs", "2"]  # constant rate
        whole = self.with_set("portable", *train, "--output", "whole")
        widest = self.succeed(2, *train, "--output", "widest")
        if widest.fingerprint == whole.fingerprint:
            self.skipTest("this machine has no wider one")
        self.with_set("portable", *train[:-1], "1", "--output", "run")
        result = self.resume(1, "--epochs", "2")
        self.assertIn("matrix products use portable, not ", result.out)
        self.assertEqual(result.fingerprint, whole.fingerprint)

        self.clear()
        self.succeed(2, *train[:-1], "1", "--output", "run")
        result = self.with_set("portable", "train", "--resume", "--output", "run", "--epochs", "2")
        self.assertRegex(result.out, "the checkpoint was computed with [a-z0-9]+, and this goes on with portable: ")


class Automatic(Whole):
    def test_begins_and_goes_on(self):
        for ranks in RANKS:
            with self.subTest(ranks=ranks):
                self.clear()
                process = self.start(ranks, "--epochs", EPOCHS, "--resume", "auto")
                wait_for((self.run_folder / "checkpoint.safetensors").exists)
                self.kill(process, ranks)
                again = self.succeed(1 + ranks % 3, *RECIPE, "--epochs", EPOCHS, "--output", "run", "--resume", "auto")
                self.assertIn("resumed after epoch", again.out)
                self.expect_whole(again)
                complete = self.succeed(ranks, *RECIPE, "--epochs", EPOCHS, "--output", "run", "--resume=auto")
                self.assertIn("nothing is left to do", complete.out)

    def test_words(self):
        self.expect_error("which run?", *RECIPE, "--resume", "auto", ranks=[2])
        self.expect_error(["resume", "'perhaps'", "auto"], *RECIPE, "--resume", "perhaps", "--output", "run", ranks=[2])

    def test_what_a_file_says_now_counts_and_may_not_change_the_bits(self):
        agrees, contradicts = self.folder / "agrees.cfg", self.folder / "contradicts.cfg"
        agrees.write_text("bn = group:2\nbatch-size = 4\ncheckpoint-every = 2\n")
        contradicts.write_text("batch-size = 5\nseed = 7\n")
        train = ["train", "--output", "run", "--resume", "auto", "--epochs", "4"]
        self.succeed(2, *RECIPE, "--epochs", "4", "--output", "run")
        self.succeed(2, *train, "--config", agrees)
        self.assertIn("checkpoint-every = 2\n", (self.run_folder / "config.cfg").read_text())
        self.expect_error(["seed was 1, and is 7"], *train, "--config", contradicts, "--batch-size", "4", ranks=[2])

    def test_of_a_study(self):
        study = ["compare", *SMALL_MODEL, "--train-samples", "96", "--test-samples", "40", "--epochs", "1",
                 "--global-batch", "16", "--modes", "local", "--batch-sizes", "4,8", "--seeds", "1", "--resume", "auto",
                 "--output", "study"]
        self.assertIn("2 to compute", self.succeed(2, *study).out)
        self.assertIn(" 0 to compute", self.succeed(2, *study).out)
        other = self.folder / "other.cfg"
        other.write_text("learning-rate = 0.01\n")
        self.expect_error(["was made with other settings: learning rate was"], *study, "--config", other, ranks=[2])
        self.expect_error("study: holds a study of lockstep compare", *RECIPE, "--resume", "auto", "--output", "study",
                          ranks=[2])


class Lock(Operation):
    @contextlib.contextmanager
    def held(self, seconds, holder):
        """The folder's lock, let go `seconds` after something else was started."""
        with open(self.run_folder / ".lock", "w", encoding="ascii") as lock:
            fcntl.lockf(lock, fcntl.LOCK_EX)
            lock.write(holder + "\n")
            lock.flush()
            yield
            time.sleep(seconds)

    def test_who_has_waited_for_it_sees_what_the_other_has_left(self):
        self.succeed(2, *RECIPE, "--epochs", "2", "--output", "run")
        before = lines_without_times(self.run_folder)
        aside = self.folder / "aside.safetensors"
        checkpoint = self.run_folder / "checkpoint.safetensors"
        (self.run_folder / "checkpoint-previous.safetensors").unlink()
        for words in (["--resume"], ["--resume", "auto"]):
            checkpoint.rename(aside)
            with self.held(0, f"process 1 on {socket.gethostname()}"):
                process = self.start(2, "--epochs", "2", *words)
                time.sleep(1.5)
                self.assertIsNone(process.poll())
                aside.rename(checkpoint)
            self.assertIn("nothing is left to do", finish(process, 0).out)
            self.assertEqual(lines_without_times(self.run_folder), before)

    def test_of_a_host_that_may_be_gone_is_waited_for(self):
        self.succeed(2, *RECIPE, "--epochs", "2", "--output", "run")
        with self.held(5, "process 1 on another-host"):
            process = self.start(2, "--epochs", "2", "--resume")
        self.assertIn("nothing is left to do", finish(process, 0).out)
        with self.held(1, "process 1 on another-host"):
            process = self.start(2, "--epochs", "2", "--resume")
            time.sleep(2)
            for pid in rank_processes(process).values():
                os.kill(pid, signal.SIGTERM)
            self.check_error("stopped by SIGTERM while another process was at work", finish(process, time.monotonic()))
        with self.held(0, "process 1 on another-host"):
            self.expect_error(["(process 1 on another-host)", "if that host is gone, remove run/.lock"], *RECIPE,
                              "--epochs", "2", "--resume", "--output", "run", "--timeout", "2", ranks=[2])

    def test_of_those_that_start_at_once_one_runs_and_the_others_name_it(self):
        for words in ([], ["--resume", "auto"]):
            self.clear()
            processes = [self.start(1, "--epochs", "100000", *words) for _ in range(4)]
            wait_for(lambda: sum(process.poll() is not None for process in processes) == 3)
            running = [process for process in processes if process.poll() is None]
            holder = rank_processes(running[0])[0]
            for process in processes:
                if process is running[0]:
                    continue
                result = finish(process, time.monotonic())
                self.check_error(["another process is at work in this folder",
                                  f"(process {holder} on {socket.gethostname()})"], result)
            self.assertEqual((self.run_folder / ".lock").read_text(), f"process {holder} on {socket.gethostname()}\n")
            os.kill(holder, signal.SIGTERM)
            self.assertEqual(finish(running[0], 0).code, STOPPED)

    def test_one_that_cannot_be_opened_is_an_error(self):
        self.run_folder.mkdir()
        lock = self.run_folder / ".lock"
        for make in (lock.mkdir, lambda: lock.symlink_to("elsewhere")):
            make()
            self.expect_error(["run/.lock: cannot be opened", "remove it"], *RECIPE, "--output", "run", ranks=[2])
            self.assertEqual(os.listdir(self.run_folder), [".lock"])
            (lock.rmdir if lock.is_dir() else lock.unlink)()

    def test_a_killed_process_leaves_it_open(self):
        process = self.start(1, "--epochs", EPOCHS)
        wait_for((self.run_folder / "checkpoint.safetensors").exists)
        self.kill(process, 1)
        self.assertTrue((self.run_folder / ".lock").exists())
        self.resume(2)
        self.assertFalse((self.run_folder / ".lock").exists())


if __name__ == "__main__":
    unittest.main(verbosity=2)
