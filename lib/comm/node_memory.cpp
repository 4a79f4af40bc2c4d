#include <lockstep/base/aligned_vector.hpp>
#include <lockstep/comm/node_memory.hpp>

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <random>
#include <string>
#include <utility>

#ifdef __linux__
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>
#endif

namespace lockstep {

/// What a rank tells the others of its block. It is found by the numbers of process and file and proved by
/// the mark that it begins with: on another node, or in another container, the numbers are those of a
/// stranger.
struct NodeMemory::Offer {
    std::int64_t process = 0;
    std::int64_t file = -1;    ///< none where the rank has no block to give
    std::uint64_t mapped = 0;  ///< bytes, with the mark
    std::uint64_t mark = 0;
};

namespace {

/// Before the block, and as long as to keep it aligned: the mark.
constexpr std::size_t mark_bytes = cache_line_bytes;

std::uint64_t random_mark() {
    std::random_device device;
    return std::uint64_t{device()} << 32 | device();
}

}  // namespace

std::byte* NodeMemory::block(int rank) const {
    return mappings_[static_cast<std::size_t>(rank)].get() + mark_bytes;
}

#ifdef __linux__

namespace {

constexpr const char* memory_name = "lockstep";

/// A file of this process, closed at the end.
class File {
  public:
    explicit File(int number) : number_(number) {}
    ~File() {
        if (number_ >= 0) ::close(number_);
    }
    File(const File&) = delete;
    File& operator=(const File&) = delete;
    int number() const { return number_; }

  private:
    int number_;
};

/// Memory without a name, given by the system here and now: later would be too late for an error.
bool reserve(int file, std::uint64_t bytes) {
    // More than there is would be given, and found wanting, page by page.
    const long pages = ::sysconf(_SC_PHYS_PAGES), page_bytes = ::sysconf(_SC_PAGESIZE);
    if (pages < 0 || bytes / static_cast<std::uint64_t>(page_bytes) >= static_cast<std::uint64_t>(pages))
        return false;
    // Memory counts as a file here, and a file beyond the limit is a signal that ends the process.
    rlimit limit{};
    if (::getrlimit(RLIMIT_FSIZE, &limit) != 0 || bytes > limit.rlim_cur) return false;
    return ::posix_fallocate(file, 0, static_cast<off_t>(bytes)) == 0;
}

/// Asked before it is opened: to open a stranger's pipe or device could block, or do worse.
bool is_node_memory(const std::string& path) {
    const std::string expected = std::string("/memfd:") + memory_name + " (deleted)";
    std::string target(expected.size() + 1, '\0');
    const auto length = ::readlink(path.c_str(), target.data(), target.size());
    return length == static_cast<ssize_t>(expected.size()) && target.starts_with(expected);
}

}  // namespace

void NodeMemory::Unmap::operator()(std::byte* mapping) const {
    ::munmap(mapping, bytes);
}

auto NodeMemory::map(int file, std::size_t bytes) -> Mapping {
    void* const start = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, file, 0);
    if (start == MAP_FAILED) return {};
    return Mapping(static_cast<std::byte*>(start), Unmap{bytes});
}

auto NodeMemory::map(const Offer& offer) -> Mapping {
    if (offer.file < 0) return {};
    const std::string path = "/proc/" + std::to_string(offer.process) + "/fd/" + std::to_string(offer.file);
    if (!is_node_memory(path)) return {};
    const File file(::open(path.c_str(), O_RDWR | O_CLOEXEC));
    // A stranger's may be shorter, and to read beyond its end would be the end of us.
    if (file.number() < 0 || ::lseek(file.number(), 0, SEEK_END) != static_cast<off_t>(offer.mapped))
        return {};
    Mapping mapping = map(file.number(), offer.mapped);
    if (mapping && std::memcmp(mapping.get(), &offer.mark, sizeof offer.mark) != 0) mapping.reset();
    return mapping;
}

std::optional<NodeMemory> NodeMemory::allocate(const Communicator& communicator, std::size_t bytes) {
    constexpr const char* what = "sharing memory within the node";
    const auto me = static_cast<std::size_t>(communicator.rank());
    const auto ranks = static_cast<std::size_t>(communicator.size());
    NodeMemory memory;
    memory.mappings_.resize(ranks);

    // Open until all others have mapped it, or have given up.
    const File file(::memfd_create(memory_name, MFD_CLOEXEC));
    Offer mine{.process = ::getpid(), .mapped = bytes + mark_bytes, .mark = random_mark()};
    if (file.number() >= 0 && bytes < mine.mapped && reserve(file.number(), mine.mapped))
        memory.mappings_[me] = map(file.number(), mine.mapped);
    if (memory.mappings_[me]) {
        std::memcpy(memory.mappings_[me].get(), &mine.mark, sizeof mine.mark);
        mine.file = file.number();
    }
    std::vector<Offer> offers(ranks);
    const std::vector<int> offer_bytes(ranks, static_cast<int>(sizeof(Offer)));
    communicator.all_gather(&mine, offers.data(), offer_bytes, what);

    char mapped = 1;
    for (std::size_t rank = 0; rank < ranks && mapped; ++rank) {
        if (rank != me) memory.mappings_[rank] = map(offers[rank]);
        mapped = memory.mappings_[rank] ? 1 : 0;
    }
    std::vector<char> all_mapped(ranks);
    communicator.all_gather(&mapped, all_mapped.data(), std::vector<int>(ranks, 1), what);
    if (std::ranges::count(all_mapped, 1) != communicator.size()) return std::nullopt;
    return memory;
}

#else

void NodeMemory::Unmap::operator()(std::byte*) const {}

std::optional<NodeMemory> NodeMemory::allocate(const Communicator&, std::size_t) {
    return std::nullopt;
}

#endif

}  // namespace lockstep
