#include <lockstep/report/study.hpp>

namespace lockstep {

double StudyEpoch::score(AverageKind kind) const {
    switch (kind) {
        case AverageKind::first:
            return first_score;
        case AverageKind::precise:
            return precise_score;
        case AverageKind::batch:
            return batch_score;
        case AverageKind::pooled:
            break;
    }
    return pooled_score;
}

std::string Combination::to_string() const {
    return mode + ", " + std::to_string(batch_size) + (batch_size == 1 ? " sample" : " samples") +
           " per replica, seed " + std::to_string(seed);
}

const Combination* Study::find(std::string_view mode, Index batch_size, std::uint64_t seed) const {
    for (const Combination& one : combinations)
        if (one.mode == mode && one.batch_size == batch_size && one.seed == seed)
            return one.outcome == Outcome::finished && !one.epochs.empty() ? &one : nullptr;
    return nullptr;
}

std::string to_string(Outcome outcome) {
    switch (outcome) {
        case Outcome::failed:
            return "failed";
        case Outcome::left_out:
            return "left out";
        case Outcome::finished:
            break;
    }
    return "finished";
}

std::string to_string(AverageKind kind) {
    switch (kind) {
        case AverageKind::first:
            return "first";
        case AverageKind::precise:
            return "precise";
        case AverageKind::batch:
            return "batch";
        case AverageKind::pooled:
            break;
    }
    return "pooled";
}

}  // namespace lockstep
