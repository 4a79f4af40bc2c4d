// Arrays that NumPy and h5py wrote, and those that they are to read. Skipped if there is no Python with both
// (LOCKSTEP_NUMPY_PYTHON may name one).
#include <lockstep/data/array.hpp>
#include <lockstep/data/array_writer.hpp>

#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>

#include "support/scratch_folder.hpp"

namespace lockstep {
namespace {

const std::string script = LOCKSTEP_NUMPY_ARRAYS;

bool runs(const std::string& command) {
    return std::system(command.c_str()) == 0;
}

class NumPy : public testing::Test {
  protected:
    void SetUp() override {
        const char* const named = std::getenv("LOCKSTEP_NUMPY_PYTHON");
        for (const std::string candidate : {named != nullptr ? named : "", "python3", "/usr/bin/python3"})
            if (!candidate.empty() && runs(candidate + " '" + script + "' probe 2>/dev/null")) {
                python_ = candidate + " '" + script + "' ";
                return;
            }
        GTEST_SKIP() << "no Python with NumPy and h5py is here";
    }

    std::string python_;
    test::ScratchFolder folder_;
};

TEST_F(NumPy, ArraysOfEveryTypeAreReadAsTheyWereWritten) {
    ASSERT_TRUE(runs(python_ + "write '" + folder_.path().string() + "'"));
    std::ifstream list(folder_ / "list");
    std::string values_name, name;
    int count = 0;
    while (list >> values_name >> name) {
        SCOPED_TRACE(name);
        if (!has_hdf5() && name.starts_with("all.h5")) continue;
        ++count;
        const std::string bytes = test::read_text(folder_ / values_name);
        const auto array = open_array((folder_ / name).string());
        ASSERT_EQ(array->extents(), (std::vector<Index>{7, 3, 4}));
        std::string held;
        for (Index row = 0; row < array->rows(); ++row) {
            double values[12];
            array->read_row(row, values);
            held.append(reinterpret_cast<const char*>(values), sizeof values);
        }
        EXPECT_EQ(held, bytes);
    }
    EXPECT_GE(count, 19 * 6);
}

TEST_F(NumPy, ReadsWhatIsWritten) {
    std::vector<float> values;
    for (int i = 0; i < 21; ++i) values.push_back(static_cast<float>(i) + 0.5f);
    std::string files = "'" + (folder_ / "x.npy").string() + "'";
    NpyWriter file(folder_ / "x.npy", ElementType::f32, {7, 3});
    NpyRows(file.partial()).write(0, values);
    file.commit();
    if (has_hdf5()) {
        Hdf5Writer hdf5(folder_ / "x.h5", "/group/x", ElementType::f32, {7, 3});
        hdf5.append(values);
        hdf5.commit();
        files += " '" + (folder_ / "x.h5").string() + "'";
    }
    EXPECT_TRUE(runs(python_ + "check " + files));
}

}  // namespace
}  // namespace lockstep
