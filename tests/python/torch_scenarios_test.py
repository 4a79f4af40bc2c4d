"""The scenarios of PyTorch's, apex's and ChainerMN's own tests of synchronized batch norm, and what these get wrong."""
from support import main
from torch_support import TorchTest, draw

import torch

import lockstep
import lockstep.torch


class Scenarios(TorchTest):
    def layer(self, channels, dtype=torch.float64, **options):
        return lockstep.torch.SyncBatchNorm(channels, process_group=self.comm, dtype=dtype, **options)

    def shares(self, counts):
        """The samples of each rank, as (begin, end)."""
        begin = sum(counts[:self.comm.rank])
        return slice(begin, begin + counts[self.comm.rank])

    def compare(self, counts, shape, dtype=torch.float64, tolerance=1e-12, scale=None):
        """z, dx, running averages and a step of SGD against the whole batch."""
        mine = self.shares(counts)
        x, dz = (draw((sum(counts), *shape), seed) for seed in (1, 2))
        if scale is not None:
            x[:counts[0]] *= scale
        layer, whole = self.layer(shape[0], dtype), torch.nn.BatchNorm2d(shape[0]).double()
        own, x = x[mine].to(dtype).requires_grad_(), x.requires_grad_()
        z, z_whole = layer(own), whole(x)
        z.backward(dz[mine].to(dtype))
        own_gradients = torch.autograd.grad(z_whole[mine], (whole.weight, whole.bias), dz[mine], retain_graph=True)
        z_whole.backward(dz)
        self.close(z, z_whole[mine], tolerance, "z")
        self.close(own.grad, x.grad[mine], tolerance, "dx")
        self.close(layer.running_mean, whole.running_mean, tolerance, "running mean")
        self.close(layer.running_var, whole.running_var, tolerance, "running variance")
        for parameter, gradient in zip((layer.weight, layer.bias), own_gradients):
            self.close(parameter.grad, gradient, tolerance, "gradients of parameters")
        before = layer.weight.detach().clone()
        torch.optim.SGD(layer.parameters(), 0.1).step()
        self.close(layer.weight, before.double() - 0.1 * own_gradients[0], tolerance, "a step")

    def test_pytorch_rank_r_has_r_plus_2_samples(self):
        for dtype, tolerance in ((torch.float32, 1e-5), (torch.float64, 1e-12)):
            self.compare([rank + 2 for rank in range(self.comm.size)], (3, 4, 4), dtype, tolerance)

    def test_pytorch_very_uneven_shards(self):
        """Rank r has (2, 2, 10^(r+1)) values of 0.1^(r−1) and of 0.3^(r−1): 100 iterations, momentum 0.99."""
        layer = self.layer(2, momentum=0.99)
        blocks = [torch.stack([torch.full((2, 10 ** (rank + 1)), base ** (rank - 1), dtype=torch.float64)
                               for base in (0.1, 0.3)], 1) for rank in range(self.comm.size)]
        for _ in range(100):
            layer(blocks[self.comm.rank])
        pooled = torch.cat([block.transpose(0, 1).reshape(2, -1) for block in blocks], 1)
        self.close(layer.running_mean, pooled.mean(1), 1e-12)
        self.close(layer.running_var, pooled.var(1), 1e-12)

    def test_pytorch_one_sample_each(self):
        self.compare([1] * self.comm.size, (3, 2, 2))

    def test_pytorch_empty_ranks(self):
        for first in (0, 1):
            counts = [first, 2, 11, 13][:self.comm.size]
            if sum(counts) > 0:
                self.compare(counts, (3, 5, 5))

    def test_apex_40_by_40(self):
        for dtype, tolerance in ((torch.float32, 1e-5), (torch.float64, 1e-8)):
            counts = [8] * self.comm.size
            x = draw((sum(counts), 10, 40, 40), 7)
            self.assertEqual(x.shape[0] % self.comm.size, 0)
            self.compare(counts, (10, 40, 40), dtype, 3 * tolerance)

    def test_apex_batches_of_different_size_and_scale(self):
        self.compare([16, 8, 8, 8][:self.comm.size], (3, 4, 4), scale=50, tolerance=1e-11)

    def test_apex_groups_of_two(self):
        group = self.comm.split(self.comm.rank // 2)
        layer, local = lockstep.torch.SyncBatchNorm(3, process_group=group).double(), torch.nn.BatchNorm2d(3).double()
        blocks = [draw((4, 3, 2, 2), 10 + rank) for rank in range(self.comm.size)]
        members = [rank for rank in range(self.comm.size) if rank // 2 == self.comm.rank // 2]
        z = layer(blocks[self.comm.rank])
        position = members.index(self.comm.rank)
        self.close(z, local(torch.cat([blocks[rank] for rank in members]))[4 * position:4 * position + 4], 1e-12)

    def test_chainermn_four_ways(self):
        """Synchronized on many = one process; local on many is not."""
        x = draw((6 * self.comm.size, 3, 2, 2), 3)
        mine = x[6 * self.comm.rank:6 * self.comm.rank + 6]
        expected = torch.nn.BatchNorm2d(3).double()(x)[6 * self.comm.rank:6 * self.comm.rank + 6]
        alone = lockstep.torch.SyncBatchNorm(3, process_group=lockstep.Communicator.self(), dtype=torch.float64)
        self.close(self.layer(3)(mine), expected, 1e-12)
        self.close(alone(x), torch.nn.BatchNorm2d(3).double()(x), 1e-12)
        self.assertEqual((alone(mine) - expected).abs().max().item() > 1e-3, self.several)

    def test_values_far_from_zero(self):
        """The mean is a million times the deviation: squares would cancel."""
        for dtype, tolerance in ((torch.float64, 1e-8), (torch.float32, 0.05)):
            x = (1e4 + 1e-2 * draw((5 * self.comm.size, 3, 8, 8), 4)).to(dtype)
            reference = torch.nn.BatchNorm2d(3).double()(x.double())
            mine = slice(5 * self.comm.rank, 5 * self.comm.rank + 5)
            self.close(self.layer(3, dtype)(x[mine]), reference[mine], tolerance)

    def test_a_variance_far_below_epsilon_and_a_constant_channel(self):
        x = 1e-5 * draw((4 * self.comm.size, 3, 4, 4), 5)
        x[:, 1] = 3
        mine = slice(4 * self.comm.rank, 4 * self.comm.rank + 4)
        layer, whole = self.layer(3), torch.nn.BatchNorm2d(3).double()
        own, x = x[mine].clone().requires_grad_(), x.requires_grad_()
        dz = draw(x.shape, 6)
        z, z_whole = layer(own), whole(x)
        z.backward(dz[mine])
        z_whole.backward(dz)
        self.close(z, z_whole[mine], 1e-12)
        self.close(own.grad, x.grad[mine], 1e-9)
        self.close(layer.running_var, whole.running_var, 1e-12)

    def test_one_value_in_all(self):
        """PyTorch puts NaN into the running variance."""
        layer = self.layer(3)
        x = torch.full((1 if self.comm.rank == 0 else 0, 3), 4.0, dtype=torch.float64)
        z = layer(x)
        self.assertTrue((z == 0).all())
        self.close(layer.running_mean, torch.full((3,), 0.4), 1e-7)
        self.same(layer.running_var, torch.ones(3, dtype=torch.float64))

    def test_channel_counts(self):
        for channels in (1, 3, 17, 300):
            self.compare([3] * self.comm.size, (channels, 2, 2), tolerance=1e-11)

    def test_the_same_bits_on_every_rank(self):
        layer = self.layer(17, torch.float32)
        for step in range(3):
            layer(draw((3 + self.comm.rank, 17, 5), step, torch.float32))
        text = layer.running_mean.numpy().tobytes().hex() + layer.running_var.numpy().tobytes().hex()
        from lockstep._library import check, library  # the ranks compare it

        check(library().lockstep_communicator_check_agreement(self.comm.address, b"running averages", b"bits", text.encode()))


if __name__ == "__main__":
    main()
