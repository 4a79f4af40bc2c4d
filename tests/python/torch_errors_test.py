"""What the PyTorch layer refuses, and what every rank is told if the ranks do not do the same."""
from support import main
from torch_support import TorchTest, draw

import torch

import lockstep
import lockstep.torch

CHANNELS = 3


class Arguments(TorchTest):
    """Refused before anything is exchanged: the layer is as it was."""

    def setUp(self):
        super().setUp()
        self.layer = lockstep.torch.SyncBatchNorm(CHANNELS, process_group=self.comm, name="norm")
        self.x = draw((4, CHANNELS, 5), self.comm.rank, torch.float32)
        self.layer(self.x)

    def tearDown(self):
        """It still works."""
        self.layer(self.x.requires_grad_()).sum().backward()

    def test_inputs(self):
        for x, *words in ((self.x.half(), "float16", "float32", ".float()"), (self.x.bfloat16(), "bfloat16", "autocast"),
                          (self.x.int(), "int32"), (self.x.to("meta"), "meta", "CPUs"),
                          (self.x[0, :, 0], "at least 2 dimensions"), (self.x.transpose(1, 2), "5 channels", "the layer 3")):
            with self.raises(lockstep.UsageError, "norm", *words):
                self.layer(x)
        for x in (self.x[..., 0].to_sparse(), self.x[..., 0].to_mkldnn()):
            with self.raises(lockstep.UsageError, "norm", "layout", ".to_dense()"):
                self.layer(x)

    def test_what_is_no_tensor(self):
        for layer in (self.layer, lockstep.torch.SyncBatchNorm(CHANNELS, process_group=self.comm, name="norm")):
            for x in (self.x.numpy(), None, [[1.0, 2.0, 3.0]]):
                with self.raises(TypeError, "norm", "torch.Tensor", type(x).__name__):
                    layer(x)

    def test_types_that_do_not_belong_together(self):
        """As PyTorch, nothing is converted silently; this is collective, for the type of the layer changes."""
        with self.raises(lockstep.UsageError, "float64", "weight is torch.float32"):
            self.layer(self.x.double())
        with torch.autocast("cpu", dtype=torch.bfloat16), self.raises(lockstep.UsageError, "bfloat16", "autocast"):
            self.layer(self.x.bfloat16())

    def test_parameters_of_another_size(self):
        weight = self.layer.weight
        for wrong in (torch.ones(4), torch.ones(6)[::2]):
            self.layer.weight = torch.nn.Parameter(wrong)
            with self.raises(lockstep.UsageError, "weight", "3 values side by side"):
                self.layer(self.x)
        self.layer.weight = weight

    def test_options(self):
        with self.raises(lockstep.UsageError, "'tanh'", "'relu'"):
            lockstep.torch.SyncBatchNorm(CHANNELS, activation="tanh")
        for wrong in (float("nan"), 0.0, -1.0):
            with self.raises(lockstep.UsageError, "epsilon"):
                lockstep.torch.SyncBatchNorm(CHANNELS, eps=wrong, process_group=self.comm)(self.x)
        with self.raises(lockstep.UsageError, "momentum"):
            lockstep.torch.SyncBatchNorm(CHANNELS, momentum=2.0, process_group=self.comm)(self.x)
        with self.raises(TypeError, "name", "int"):
            lockstep.torch.SyncBatchNorm(CHANNELS, name=5, process_group=self.comm)(self.x)
        with self.raises(lockstep.UsageError, "at least one channel"):
            lockstep.torch.SyncBatchNorm(0, process_group=self.comm)(self.x[:, :0])
        with self.raises(lockstep.UsageError, "at least one thread"):
            lockstep.torch.SyncBatchNorm(CHANNELS, threads=0, process_group=self.comm)(self.x)

    def test_process_groups_of_pytorch(self):
        import torch.distributed as dist

        with self.raises(TypeError, "mpi4py", "ProcessGroup", "torch.distributed"):
            lockstep.torch.SyncBatchNorm(CHANNELS, process_group=dist.ProcessGroup(0, 1))(self.x)


class Ranks(TorchTest):
    """Each of these is an error on every rank, within seconds, that names both sides."""

    def setUp(self):
        super().setUp()
        if not self.several:
            self.skipTest("it takes two ranks to disagree")
        self.last = self.comm.rank == self.comm.size - 1
        self.layer = lockstep.torch.SyncBatchNorm(CHANNELS, process_group=self.comm, name="norm")
        self.x = draw((4, CHANNELS, 5), self.comm.rank, torch.float32)

    def test_inputs_of_which_only_some_require_a_gradient(self):
        for before in (False, True):
            with self.subTest(passes_before=before):
                layer = lockstep.torch.SyncBatchNorm(CHANNELS, process_group=lockstep.Communicator(timeout=self.SECONDS),
                                                     name="norm")
                if before:
                    layer(self.x).sum().backward()
                words = ("'norm' forward",) if before else ("requires_grad", "True", "False")
                with self.raises(lockstep.CommunicationError, "gradient of input to 'norm'", *words):
                    layer(self.x.clone().requires_grad_(self.last))

    def test_layers_that_differ(self):
        layer = lockstep.torch.SyncBatchNorm(CHANNELS, momentum=0.5 if self.last else 0.1, process_group=self.comm)
        with self.raises(lockstep.CommunicationError, "momentum", "0.5", "0.1"):
            layer(self.x)

    def test_types_that_differ(self):
        with self.raises(lockstep.CommunicationError, "type", "float", "double"):
            self.layer.to(torch.float64 if self.last else torch.float32)(self.x.double() if self.last else self.x)

    def test_changes_that_differ(self):
        self.layer(self.x)
        self.layer.eps = 0.25 if self.last else 0.5
        with self.raises(lockstep.CommunicationError, "norm", "epsilon", "0.25", "0.5"):
            self.layer(self.x)

    def test_a_change_on_one_rank(self):
        self.layer(self.x)
        if self.last:
            self.layer.eps = 0.5
        with self.raises(lockstep.CommunicationError, "changing the eps", "forward"):
            self.layer(self.x)

    def test_layers_in_another_order(self):
        first, second = (lockstep.torch.SyncBatchNorm(CHANNELS, process_group=self.comm, name=name) for name in "ab")
        for layer in (first, second):
            layer(self.x)
        with self.raises(lockstep.CommunicationError, "'a'", "'b'"):
            (second if self.last else first)(self.x)

    def test_a_rank_without_a_backward(self):
        z = self.layer(self.x.requires_grad_())
        with self.raises(lockstep.CommunicationError, "backward", "forward"):
            if self.last:
                self.layer(self.x)
            else:
                z.sum().backward()

    def test_a_rank_in_evaluation_mode(self):
        layer = lockstep.torch.SyncBatchNorm(CHANNELS, process_group=lockstep.Communicator(timeout=0.5), name="norm")
        layer(self.x)
        if self.last:
            layer.eval()(self.x)
            return
        with self.raises(lockstep.CommunicationError, "time-out after 0.5 s", "'norm' forward"):
            layer(self.x)

    def test_a_new_communicator_after_an_error(self):
        self.test_a_rank_without_a_backward()
        self.layer.process_group = lockstep.Communicator(timeout=self.SECONDS)
        self.layer(self.x.requires_grad_()).sum().backward()


if __name__ == "__main__":
    main()
