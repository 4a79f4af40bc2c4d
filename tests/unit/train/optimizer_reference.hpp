/// Ten steps of torch.optim in double precision; written by tests/support/make_optimizer_reference.py.
// clang-format off
#pragma once

#include <array>
#include <ostream>

namespace lockstep::test {

using ReferenceParameters = std::array<double, 7>;

inline constexpr ReferenceParameters reference_start = {0.5, -1.25, 2.0, 0.75, -0.375, 1.5, -2.5};
inline constexpr ReferenceParameters reference_curvature = {1.0, 0.25, 3.0, 0.5, 2.0, 0.125, 1.5};
inline constexpr ReferenceParameters reference_minimum = {1.0, 1.0, -0.5, 2.0, 0.25, -1.0, 0.0};
inline constexpr int reference_steps = 10;

struct OptimizerReference {
    const char* name;
    const char* kind;
    double momentum;
    bool nesterov;
    double weight_decay;
    const char* decay;
    ReferenceParameters result;

    friend void PrintTo(const OptimizerReference& reference, std::ostream* out) { *out << reference.name; }
};

inline constexpr std::array<OptimizerReference, 10> optimizer_references{{
    {"sgd", "sgd", 0.0, false, 0.0, "all",
     {0.619703996416, -1.1029190468619945, 0.5698305740799998, 0.908664711020791, -0.10831164475076922, 1.4170673570017938, -1.6527807862534962}},
    {"sgd_decay", "sgd", 0.0, false, 0.1, "all",
     {0.6064860731957369, -1.072350015745043, 0.5478380097167286, 0.8879902675049683, -0.10341548522627814, 1.3787078611837578, -1.6066418085732466}},
    {"momentum", "sgd", 0.9, false, 0.0, "all",
     {0.8711727935444357, -0.7546115354669096, -1.4407389984525478, 1.2702436195000313, 0.357951613478022, 1.2169701099760104, -0.023006585179507544}},
    {"momentum_decay", "sgd", 0.9, false, 0.1, "all",
     {0.8264046244562693, -0.6579939408370827, -1.4450267662417726, 1.1975312988817266, 0.36195875066703703, 1.0903889870895698, 0.0804168623836485}},
    {"momentum_decay_weights", "sgd", 0.9, false, 0.1, "weights",
     {0.8264046244562693, -0.6579939408370827, -1.4450267662417726, 1.2702436195000313, 0.357951613478022, 1.0903889870895698, -0.023006585179507544}},
    {"nesterov", "sgd", 0.9, true, 0.0, "all",
     {0.9011156494362198, -0.6750296323965668, -1.1496457254650252, 1.3394384781063318, 0.3496152176269466, 1.1674899370773715, 0.057389801398057466}},
    {"nesterov_decay", "sgd", 0.9, true, 0.1, "all",
     {0.8494784243181253, -0.5695044578904064, -1.1322960212100859, 1.2522283948746586, 0.34752337791022075, 1.0234331084471502, 0.14062126923410204}},
    {"adamw", "adamw", 0.0, false, 0.0, "all",
     {0.7623788584082523, -0.9816280091484221, 1.7315182295911264, 1.017394002689363, -0.11059822225753649, 1.2315182380197744, -2.2315182299575897}},
    {"adamw_decay", "adamw", 0.0, false, 0.1, "all",
     {0.746549878784293, -0.9516665551714639, 1.6816532092600065, 0.9944514254627022, -0.10399265968678204, 1.194911915525087, -2.1683950555404814}},
    {"adamw_decay_weights", "adamw", 0.0, false, 0.1, "weights",
     {0.746549878784293, -0.9516665551714639, 1.6816532092600065, 1.017394002689363, -0.11059822225753649, 1.194911915525087, -2.2315182299575897}},
}};

}  // namespace lockstep::test
