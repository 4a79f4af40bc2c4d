#include "failure.hpp"

#include <lockstep/comm/tags.hpp>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <set>
#include <string_view>
#include <thread>
#include <vector>

namespace lockstep::launch {
namespace {

constexpr std::size_t text_bytes = 2048;
constexpr double patience_seconds = 2;
constexpr double line_seconds = 0.25;  // for mpirun to pass a line on
constexpr int report_tag = tags::report.first;

/// "rank 3 of 8: what" → "what".
std::string_view without_rank(std::string_view text) {
    const std::size_t colon = text.find(": ");
    if (!text.starts_with("rank ") || colon == std::string_view::npos) return text;
    return text.substr(0, colon).find(" of ") == std::string_view::npos ? text : text.substr(colon + 2);
}

constexpr std::string_view second_hand = " has failed: ";

/// "rank 3 of 8: rank 2 has failed: rank 2 of 8: what" → "what": a fault reads the same wherever it comes
/// from.
std::string_view fault_of(std::string_view text) {
    text = without_rank(text);
    const std::size_t end = text.starts_with("rank ") ? text.find(second_hand) : std::string_view::npos;
    return end == std::string_view::npos ? text : without_rank(text.substr(end + second_hand.size()));
}

bool is_second_hand(std::string_view text) {
    return fault_of(text) != without_rank(text);
}

void print(int rank, std::string_view text) {
    std::fflush(stdout);
    text = without_rank(text);
    std::fprintf(stderr, "lockstep: rank %d: %.*s\n", rank, static_cast<int>(text.size()), text.data());
    std::fflush(stderr);
}

}  // namespace

FailureReport::FailureReport() {
    MPI_Comm_rank(MPI_COMM_WORLD, &rank_);
    MPI_Comm_size(MPI_COMM_WORLD, &size_);
}

std::vector<FailureReport::Text> FailureReport::exchange(const std::string& text) const {
    // Short enough for MPI to take at once, so nobody waits for those who are not there to receive.
    for (int other = 0; other < size_; ++other) {
        MPI_Request request = MPI_REQUEST_NULL;
        if (other == rank_) continue;
        MPI_Isend(text.data(), static_cast<int>(text.size()), MPI_CHAR, other, report_tag, MPI_COMM_WORLD,
                  &request);
        MPI_Request_free(&request);
    }
    std::vector<Text> all = {{rank_, text}};
    const double start = MPI_Wtime();
    while (all.size() < static_cast<std::size_t>(size_) && MPI_Wtime() - start < patience_seconds) {
        int found = 0;
        MPI_Status status;
        MPI_Iprobe(MPI_ANY_SOURCE, report_tag, MPI_COMM_WORLD, &found, &status);
        if (!found) {
            std::this_thread::sleep_for(std::chrono::milliseconds(1));
            continue;
        }
        std::string theirs(text_bytes, '\0');
        int length = 0;
        MPI_Get_count(&status, MPI_CHAR, &length);
        MPI_Recv(theirs.data(), static_cast<int>(text_bytes), MPI_CHAR, status.MPI_SOURCE, report_tag,
                 MPI_COMM_WORLD, MPI_STATUS_IGNORE);
        theirs.resize(static_cast<std::size_t>(length));
        all.push_back({status.MPI_SOURCE, std::move(theirs)});
    }
    // Whoever met the fault before whoever only heard of it; then by rank.
    std::ranges::sort(all, {}, [](const Text& one) { return std::pair(is_second_hand(one.text), one.rank); });
    return all;
}

std::string FailureReport::silent_ranks(const std::vector<Text>& all) const {
    std::string list;
    for (int rank = 0; rank < size_; ++rank)
        if (std::ranges::find(all, rank, &Text::rank) == all.end())
            list += (list.empty() ? "" : ", ") + std::to_string(rank);
    return "; nothing is heard of rank " + list;
}

void FailureReport::report(const std::string& what, bool all_should_fail) const {
    const std::string text = what.substr(0, text_bytes);
    const std::vector<Text> all = exchange(text);
    const int speaker = std::ranges::min(all, {}, &Text::rank).rank;
    if (all.size() == static_cast<std::size_t>(size_)) {
        if (rank_ != speaker) return;
        // Those who met a fault themselves say all that there is to say.
        const bool heard = is_second_hand(all.front().text);
        std::set<std::string_view> printed;
        for (const Text& one : all)
            if (is_second_hand(one.text) == heard && printed.insert(fault_of(one.text)).second)
                print(one.rank, one.text);
        return;
    }
    // Some rank does not come: it hangs, or waits for us. One speaks and ends all; the others leave it the
    // time.
    if (rank_ != speaker) {
        std::this_thread::sleep_for(std::chrono::duration<double>(2 * patience_seconds));
    } else {
        print(all.front().rank, all.front().text + (all_should_fail ? silent_ranks(all) : ""));
        // MPICH's mpirun ends the job without reading what its ranks wrote last.
        std::this_thread::sleep_for(std::chrono::duration<double>(line_seconds));
    }
    MPI_Abort(MPI_COMM_WORLD, 1);
}

}  // namespace lockstep::launch
