"""`lockstep bench`: each benchmark ends with its table, and the same rows in a file."""
import json
import os
import unittest
import unittest.mock

from launcher import LauncherTest

CNN = "conv 4 3x3 pad 1, batchnorm, relu, maxpool 4, conv 6 3x3, batchnorm, relu, flatten, linear 10"


class Bench(LauncherTest):
    def rows_of(self, ranks, what, *arguments):
        result = self.succeed(ranks, "bench", what, *arguments, "--json", "rows.json", seconds=120)
        written = json.loads((self.folder / "rows.json").read_text())
        self.assertEqual((written["benchmark"], written["ranks"]), (what, ranks))
        for name in written["rows"][0]:
            self.assertIn(name.strip(), result.out)
        return written["rows"]

    def test_infer_folds_without_changing_what_comes_out(self):
        for ranks, model, batch_norms, left in ((1, "linear 20, batchnorm, relu, linear 10", 1, 0), (2, CNN, 2, 0),
                                                (1, "batchnorm, relu, linear 10", 1, 1)):
            with self.subTest(model):
                row, = self.rows_of(ranks, "infer", "--train-samples", "300", "--test-samples", "10",
                                    "--batch-size", "20", "--model", model)
                self.assertEqual((row["batch norms"], row["left"]), (batch_norms, left))
                self.assertLessEqual(row["difference"], 1)
                self.assertGreater(min(row["samples/s"], row["folded"]), 0)
                self.assertAlmostEqual(row["ratio"], row["folded"] / row["samples/s"], places=6)

    def test_threads_are_measured_on_every_shape(self):
        shapes = [(row["shape"], row["layout"]) for row in self.rows_of(1, "kernels")]
        rows = self.rows_of(1, "threads", "--threads", "3")
        self.assertEqual([(row["shape"], row["layout"]) for row in rows], shapes)
        for row in rows:
            self.assertAlmostEqual(row["ratio"], row["threads us"] / row["one thread us"], places=6)
        self.expect_error(["threads", "0"], "bench", "threads", "--threads", "0", ranks=[1])

    def test_exchanges_are_measured_at_every_length(self):
        for ranks in (1, 2):
            rows = self.rows_of(ranks, "exchange")
            self.assertEqual([row["bytes"] for row in rows], [128 << i for i in range(11)])
            for row in rows:
                self.assertAlmostEqual(row["ratio"], row["in training"] / row["MPI_Allreduce"], places=6)

    def test_a_file_that_cannot_be_made_is_said_before_anything_is_measured(self):
        (self.folder / "file").write_text("in the way")
        self.expect_error("file/rows.json", "bench", "exchange", "--json", "file/rows.json", ranks=[1, 2])

    def test_no_part_of_a_step_takes_less_than_no_time(self):
        rows = self.rows_of(2, "step", "--train-samples", "60", "--test-samples", "10", "--batch-size", "2", "--model",
                            "linear 10")
        self.assertEqual(len(rows), 10)
        for row in rows:
            self.assertTrue(row["us"] == "not resolved" or row["us"] > 0, row)

    def test_scaling_goes_through_one_node_and_then_through_all(self):
        sizes = ["--train-samples", "60", "--test-samples", "10", "--batch-size", "6", "--model", "batchnorm, linear 10"]
        for ranks_per_node, ranks, expected in ((None, 2, [(1, 1), (1, 2)]), ("2", 3, [(1, 1), (1, 2), (2, 3)])):
            environment = {"LOCKSTEP_RANKS_PER_NODE": ranks_per_node} if ranks_per_node else {}
            with self.subTest(ranks_per_node), unittest.mock.patch.dict(os.environ, environment):
                rows = self.rows_of(ranks, "scaling", *sizes)
                self.assertEqual([(row["nodes"], row["ranks"]) for row in rows], expected)
                for row in rows:
                    self.assertAlmostEqual(row["weak/apart"], row["weak samples/s"] / row["apart samples/s"], places=6)

    def test_sums_of_several_nodes_say_how_they_travel(self):
        with unittest.mock.patch.dict(os.environ, {"LOCKSTEP_RANKS_PER_NODE": "2"}):
            result = self.succeed(4, "bench", "step", "--train-samples", "60", "--test-samples", "10", "--batch-size", "2",
                                  "--model", "linear 10", seconds=120)
        self.assertIn("4 ranks on 2 nodes, gradients in shared memory within 2 nodes, in messages between them", result.out)

    def test_what_is_unknown(self):
        self.expect_error(["'inference' is unknown", "infer"], "bench", "inference", ranks=[2])
        self.assertIn("  infer ", self.succeed(1, "bench", "--help").out)


if __name__ == "__main__":
    unittest.main(verbosity=2)
