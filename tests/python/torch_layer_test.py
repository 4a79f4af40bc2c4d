"""The PyTorch layer gives what PyTorch's own BatchNorm gives in one process that has the whole batch."""
from support import ONE_EACH, ONE_EMPTY, TOLERANCE, UNEVEN, main
from torch_support import BY_DIMENSIONS, TorchTest, channels_last, draw

import torch

import lockstep
import lockstep.torch
from lockstep._prototypes import BackwardSlice

CHANNELS = 5
INNER = {2: (), 3: (7,), 4: (3, 4), 5: (2, 3, 2)}
OPTIONS = ({}, {"momentum": None}, {"affine": False}, {"track_running_stats": False}, {"eps": 0.1, "momentum": 0.3})


class TorchLayer(TorchTest):
    def test_every_shape_type_and_order_equals_the_whole_batch(self):
        for dtype in (torch.float32, torch.float64):
            for dimensions in INNER:
                for order in (torch.Tensor.contiguous, channels_last):
                    for samples in (UNEVEN, ONE_EMPTY, ONE_EACH):
                        with self.subTest(dtype=dtype, dimensions=dimensions, order=order.__name__, samples=samples):
                            self.compare(dtype, dimensions, order, samples)

    def test_options(self):
        for options in OPTIONS:
            for dimensions in (2, 4):
                with self.subTest(options=options, dimensions=dimensions):
                    self.compare(torch.float64, dimensions, torch.Tensor.contiguous, UNEVEN, options)

    def compare(self, dtype, dimensions, order, samples, options={}):
        tolerance = TOLERANCE[str(dtype).removeprefix("torch.")]
        shape = (self.total(samples), CHANNELS, *INNER[dimensions])
        if shape[0] == 1 and dimensions == 2:
            return  # BatchNorm wants more than one value
        layer = lockstep.torch.SyncBatchNorm(CHANNELS, process_group=self.comm, dtype=dtype, **options)
        whole = BY_DIMENSIONS[dimensions](CHANNELS, dtype=torch.float64, **options)
        if layer.affine:
            for module in (layer, whole):
                with torch.no_grad():
                    module.weight.copy_(torch.linspace(-1, 2, CHANNELS))
                    module.bias.copy_(torch.linspace(3, 1, CHANNELS))
        for step in range(2):
            x, dz = (draw(shape, 10 * step + i) for i in range(2))
            x_whole = x.clone().requires_grad_()
            z_whole = whole(x_whole)
            dx_whole, = torch.autograd.grad(z_whole, x_whole, dz, retain_graph=True)

            mine = order(self.mine(samples, x).to(dtype)).requires_grad_()
            z = layer(mine)
            layer.zero_grad()
            z.backward(self.mine(samples, dz).to(dtype))
            self.close(z, self.mine(samples, z_whole), tolerance, "z")
            self.close(mine.grad, self.mine(samples, dx_whole), 3 * tolerance, "dx")
            self.assertEqual((z.dtype, mine.grad.dtype), (dtype, dtype))
            if mine.numel():
                self.assertEqual(z.stride(), mine.stride())
            if layer.affine:  # this rank's part alone
                own = torch.autograd.grad(self.mine(samples, z_whole), (whole.weight, whole.bias), self.mine(samples, dz))
                for gradient, expected, what in zip((layer.weight.grad, layer.bias.grad), own, ("dγ", "dβ")):
                    self.close(gradient, expected, 10 * tolerance, what)
        self.assertEqual(set(layer.state_dict()), set(whole.state_dict()))
        for name, values in whole.state_dict().items():
            self.close(layer.state_dict()[name], values, tolerance, name)
        self.close(layer.eval()(mine), whole.eval()(mine.double()) if layer.track_running_stats else self.local(layer, mine),
                   tolerance, "evaluation")

    def local(self, layer, x):
        """Without running averages evaluation takes the rank's own statistics, as PyTorch does."""
        return torch.nn.functional.batch_norm(x.double(), None, None, layer.weight.double(), layer.bias.double(), True)

    def setUp(self):
        super().setUp()
        self.x, self.dz = (draw((self.total(UNEVEN), CHANNELS, 3, 4), seed) for seed in (1, 2))

    def layer(self, **options):
        return lockstep.torch.SyncBatchNorm(CHANNELS, process_group=self.comm, dtype=torch.float64, **options)

    def test_synchronized_is_not_local(self):
        mine = self.mine(UNEVEN, self.x)
        difference = (self.layer()(mine) - torch.nn.BatchNorm2d(CHANNELS).double()(mine)).abs().max().item()
        self.assertEqual(difference > 1e-3, self.several)

    def test_gradients_against_finite_differences(self):
        if self.several:
            return  # the others' inputs would move meanwhile
        for activation in (None, "relu"):
            for inner in ((), (3,), (2, 2)):
                layer = self.layer(activation=activation)
                x = draw((4, CHANNELS, *inner), 3).requires_grad_()
                weight, bias = (draw((1, CHANNELS), seed)[0].requires_grad_() for seed in (4, 5))

                def function(x, weight, bias):
                    layer._parameters.update(weight=weight, bias=bias)
                    return layer(x)

                self.assertTrue(torch.autograd.gradcheck(function, (x, weight, bias)))

    def test_relu_in_the_same_pass(self):
        fused, plain = self.layer(activation="relu"), self.layer()
        x, x_plain = (self.mine(UNEVEN, self.x).clone().requires_grad_() for _ in range(2))
        z, z_plain = fused(x), torch.relu(plain(x_plain))
        self.close(z, z_plain, 1e-14)
        self.assertTrue(0 < (z == 0).double().mean() < 1)
        for values in (z, z_plain):
            values.backward(self.mine(UNEVEN, self.dz))
        self.close(x.grad, x_plain.grad, 1e-13)
        self.close(fused.weight.grad, plain.weight.grad, 1e-13)
        self.same(fused.eval()(x), torch.relu(plain.eval()(x)))

    def test_tensors_that_are_not_contiguous_are_copied(self):
        mine, dz = self.mine(UNEVEN, self.x), self.mine(UNEVEN, self.dz)
        expected, strided = mine.clone().requires_grad_(), mine.clone().requires_grad_()
        wide = torch.stack([strided, strided], -1)[..., 0]
        self.assertFalse(wide.is_contiguous())
        z, z_strided = self.layer()(expected), self.layer()(wide)
        self.same(z_strided, z)
        z.backward(dz)
        z_strided.backward(channels_last(dz))  # the gradient lies in memory as no input did
        self.close(strided.grad, expected.grad, 1e-14)
        self.layer()(expected).sum().backward()  # and this one is one number in all places

    def test_contiguous_and_channels_last_tensors_are_not_copied(self):
        """The library reads and writes the memory of the tensors that come and go."""
        for order in (torch.Tensor.contiguous, channels_last):
            for inner in ((), (4,), (3, 4), (2, 3, 2)):
                layer = self.layer()
                x, dz = (order(draw((5, CHANNELS, *inner), seed)) for seed in (1, 2))
                x.requires_grad_()
                layer(x)
                places = []
                for name in ("_forward", "_backward"):
                    setattr(layer._engine, name, self.noting(places, getattr(layer._engine, name)))
                z = layer(x)
                z.backward(dz)
                (_, x_read, z_written, *_), (_, address, *_) = places
                self.assertEqual((x_read, z_written), (x.data_ptr(), z.data_ptr()))
                given = BackwardSlice.from_address(address)
                self.assertEqual((given.x, given.dz, given.dx), (x.data_ptr(), dz.data_ptr(), x.grad.data_ptr()))

    def noting(self, calls, function):
        def call(*arguments):
            calls.append(arguments)
            return function(*arguments)

        return call

    def test_two_forwards_before_a_backward(self):
        layer, alone = self.layer(), self.layer()
        mine, dz = self.mine(UNEVEN, self.x), self.mine(UNEVEN, self.dz)
        first, second = (mine.clone().requires_grad_() for _ in range(2))
        z_first, z_second = layer(first), layer(3 * second + 1)
        z_second.backward(dz)
        z_first.backward(dz)
        for x, function in ((first, lambda x: x), (second, lambda x: 3 * x + 1)):
            other = mine.clone().requires_grad_()
            alone(function(other)).backward(dz)
            self.same(x.grad, other.grad)
        self.close(layer.weight.grad, alone.weight.grad, 1e-13)  # added up

    def test_backward_twice(self):
        layer, mine = self.layer(), self.mine(UNEVEN, self.x).clone().requires_grad_()
        z = layer(mine)
        z.backward(self.mine(UNEVEN, self.dz), retain_graph=True)
        once = mine.grad.clone()
        z.backward(self.mine(UNEVEN, self.dz))
        self.same(mine.grad, 2 * once)

    def test_what_needs_a_gradient(self):
        """The parameters alone, the input alone, or nothing: always the same numbers."""
        mine, dz = self.mine(UNEVEN, self.x), self.mine(UNEVEN, self.dz)
        whole = self.layer()
        x = mine.clone().requires_grad_()
        whole(x).backward(dz)
        for needs_input in (True, False):
            for needs_weight in (True, False):
                for needs_bias in (True, False):
                    layer, own = self.layer(), mine.clone().requires_grad_(needs_input)
                    layer.weight.requires_grad_(needs_weight)
                    layer.bias.requires_grad_(needs_bias)
                    z = layer(own)
                    self.assertEqual(z.requires_grad, needs_input or needs_weight or needs_bias)
                    if z.requires_grad:
                        z.backward(dz)
                    for values, wanted, expected in ((own, needs_input, x), (layer.weight, needs_weight, whole.weight),
                                                     (layer.bias, needs_bias, whole.bias)):
                        self.assertEqual(values.grad is not None, wanted)
                        if wanted:
                            self.close(values.grad, expected.grad, 1e-14)

    def test_a_need_that_changes(self):
        layer, mine = self.layer(), self.mine(UNEVEN, self.x)
        for needed in (False, True, True, False, True):
            x = mine.clone().requires_grad_(needed)
            layer(x).backward(self.mine(UNEVEN, self.dz))
            self.assertEqual(x.grad is not None, needed)

    def test_without_gradients(self):
        layer, other = self.layer(), self.layer()
        mine = self.mine(UNEVEN, self.x).clone().requires_grad_()
        with torch.no_grad():
            z = layer(mine)
        self.assertFalse(z.requires_grad)
        self.same(z, other(mine).detach())
        self.same(layer.running_var, other.running_var)

    def test_checkpointing(self):
        """forward runs once without recording, and again within backward."""
        from torch.utils.checkpoint import checkpoint

        layer, other = self.layer(), self.layer()
        x, x_other = (self.mine(UNEVEN, self.x).clone().requires_grad_() for _ in range(2))
        checkpoint(layer, x, use_reentrant=True).backward(self.mine(UNEVEN, self.dz))
        other(x_other).backward(self.mine(UNEVEN, self.dz))
        self.same(x.grad, x_other.grad)

    def test_evaluation_communicates_nothing(self):
        """As many times as each rank likes."""
        layer = self.layer()
        layer(self.mine(UNEVEN, self.x))
        layer.eval()
        for _ in range(self.comm.rank):
            x = self.mine(UNEVEN, self.x).clone().requires_grad_()
            layer(x).sum().backward()
            self.assertIsNotNone(x.grad)
        layer.train()
        layer(self.mine(UNEVEN, self.x))
        self.assertEqual(layer.num_batches_tracked.item(), 2)

    def test_all_empty_changes_nothing(self):
        for momentum in (0.1, None):
            layer = self.layer(momentum=momentum)
            layer(self.mine(UNEVEN, self.x))
            before = {name: values.clone() for name, values in layer.state_dict().items()}
            x = torch.empty(0, CHANNELS, 3, 4, dtype=torch.float64, requires_grad=True)
            z = layer(x)
            self.assertEqual(z.shape, x.shape)
            z.backward(torch.empty_like(z))
            self.assertEqual(x.grad.shape, x.shape)
            self.assertTrue((layer.weight.grad == 0).all() and (layer.bias.grad == 0).all())
            for name, values in layer.state_dict().items():
                self.same(values, before[name], name)

    def test_threads_give_the_same_bits(self):
        samples = (40, 0, 33, 64)
        x, dz = (self.mine(samples, draw((self.total(samples), CHANNELS, 30, 30), seed, torch.float32)) for seed in (5, 6))
        results = []
        for threads in (None, 1, 2, 3):
            layer = lockstep.torch.SyncBatchNorm(CHANNELS, process_group=self.comm, threads=threads)
            own = x.clone().requires_grad_()
            z = layer(own)
            z.backward(dz)
            results.append((z.detach(), own.grad, layer.weight.grad, layer.running_var))
        for other in results[1:]:
            for values, expected in zip(other, results[0], strict=True):
                self.same(values, expected)


if __name__ == "__main__":
    main()
