/// The tensors that benchmarks of the batch norm layer are about.
#pragma once

#include <lockstep/base/aligned_vector.hpp>
#include <lockstep/norm/kernels.hpp>

#include <string>
#include <vector>

namespace lockstep::launch {

/// One tensor of floats.
struct KernelCase {
    Index channels, height, width;
    BatchShape shape;

    /// "32x64x56x56"
    std::string name() const;
    /// "dense", "last" or "first".
    std::string layout() const;
};

/// From small dense layers to images in both layouts.
std::vector<KernelCase> kernel_cases();

/// What forward and backward read, filled, and write.
struct KernelArrays {
    explicit KernelArrays(const KernelCase& one);

    AlignedVector<float> x, z, dz, dx;
};

}  // namespace lockstep::launch
