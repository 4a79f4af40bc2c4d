"""DistributedDataParallel over gloo with converted networks trains as one process does that has the whole batch."""
from residual_network import make_network
from support import main
from torch_support import TorchTest, draw, start_gloo

import torch
from torch import nn
from torch.nn.parallel import DistributedDataParallel
from torch.utils.data import DataLoader, DistributedSampler, TensorDataset

import lockstep
from lockstep.torch import convert_sync_batchnorm

STEPS = 4


class DataParallel(TorchTest):
    def setUp(self):
        super().setUp()
        start_gloo(self.comm)

    def train(self, network, batches, weights):
        """The mean loss of each step; `weights` is by what the loss of this process's share is multiplied."""
        optimizer = torch.optim.SGD(network.parameters(), 0.05, momentum=0.9, weight_decay=1e-3)
        losses = []
        for (x, labels), weight in zip(batches, weights):
            optimizer.zero_grad()
            loss = nn.functional.cross_entropy(network(x), labels) * weight
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
        return losses

    def compare(self, samples, **options):
        total = self.total(samples)
        data = [(draw((total, 3, 8, 8), step), (torch.arange(total) * (step + 3)) % 5) for step in range(STEPS)]
        whole, network = make_network(), convert_sync_batchnorm(make_network(), self.comm)
        expected = self.train(whole, data, [1] * STEPS)
        # DDP averages gradients over the ranks, whatever their shares of the batch are: that is undone by weights.
        share = len(self.mine(samples, data[0][0]))
        weight = share * self.comm.size / total
        parallel = DistributedDataParallel(network, **options)
        losses = torch.tensor(self.train(parallel, [tuple(self.mine(samples, part) for part in step) for step in data],
                                         [weight] * STEPS))
        start_gloo(self.comm).all_reduce(losses)
        self.close(losses / self.comm.size, torch.tensor(expected), 1e-6, "losses")
        for name, values in whole.state_dict().items():
            self.close(network.state_dict()[name], values, 1e-9, name)
        self.close(network.eval()(data[0][0]), whole.eval()(data[0][0]), 1e-9, "evaluation")

    def test_an_epoch(self):
        self.compare((4,))

    def test_uneven_shards(self):
        self.compare((3, 5, 2))

    def test_options_of_data_parallel(self):
        self.compare((4,), broadcast_buffers=False, gradient_as_bucket_view=True, bucket_cap_mb=0.001)
        self.compare((4,), static_graph=True)

    def test_an_epoch_of_a_loader_in_channels_last_memory(self):
        """The samples that PyTorch's sampler deals out to the ranks, in batches of 12 of all ranks together."""
        data = TensorDataset(draw((60, 3, 8, 8), 1), torch.arange(60) % 5)

        def batches(rank, ranks):
            sampler = DistributedSampler(data, ranks, rank, shuffle=True, seed=3)
            return [(x.contiguous(memory_format=torch.channels_last), labels)
                    for x, labels in DataLoader(data, 12 // ranks, sampler=sampler)]

        whole, network = make_network(), convert_sync_batchnorm(make_network(), self.comm)
        network = network.to(memory_format=torch.channels_last)
        steps = batches(0, 1)
        self.assertEqual(len(steps), 5)
        self.train(whole, steps, [1] * 5)
        self.train(DistributedDataParallel(network), batches(self.comm.rank, self.comm.size), [1] * 5)
        for name, values in whole.state_dict().items():
            self.close(network.state_dict()[name], values, 1e-9, name)

    def test_layers_without_parameters_or_averages(self):
        for options in ({"affine": False}, {"track_running_stats": False}):
            def make():
                torch.manual_seed(1)
                return nn.Sequential(nn.Linear(6, 8), nn.BatchNorm1d(8, **options), nn.ReLU(), nn.Linear(8, 5)).double()

            data = [(draw((4 * self.comm.size, 6), step), torch.arange(4 * self.comm.size) % 5) for step in range(STEPS)]
            whole, network = make(), convert_sync_batchnorm(make(), self.comm)
            self.train(whole, data, [1] * STEPS)
            self.train(DistributedDataParallel(network), [tuple(self.mine((4,), part) for part in step) for step in data],
                       [1] * STEPS)
            for name, values in whole.state_dict().items():
                self.close(network.state_dict()[name], values, 1e-11, name)

    def test_local_statistics_train_otherwise(self):
        """So that the tests above can fail."""
        data = [(draw((4 * self.comm.size, 3, 8, 8), 1), torch.arange(4 * self.comm.size) % 5)]
        whole, local = make_network(), DistributedDataParallel(make_network())
        self.train(whole, data, [1])
        self.train(local, [tuple(self.mine((4,), part) for part in data[0])], [1])
        difference = (local.module.fc.weight - whole.fc.weight).abs().max().item()
        self.assertEqual(difference > 1e-5, self.several)

    def test_accumulated_gradients(self):
        """Two batches, one exchange of gradients."""
        network = convert_sync_batchnorm(make_network(), self.comm)
        parallel, whole = DistributedDataParallel(network), make_network()
        data = [(draw((4 * self.comm.size, 3, 8, 8), step), torch.arange(4 * self.comm.size) % 5) for step in range(2)]
        with parallel.no_sync():
            self.backward(parallel, [self.mine((4,), part) for part in data[0]])
        self.backward(parallel, [self.mine((4,), part) for part in data[1]])
        for batch in data:
            self.backward(whole, batch)
        for (name, parameter), expected in zip(network.named_parameters(), whole.parameters()):
            self.close(parameter.grad, expected.grad, 1e-9, name)

    def backward(self, network, batch):
        nn.functional.cross_entropy(network(batch[0]), batch[1]).backward()


if __name__ == "__main__":
    main()
