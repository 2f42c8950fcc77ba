use uplift_engine::reader::*;
fn main(){ let f=std::fs::File::open(std::env::args().nth(1).unwrap()).unwrap(); let t=std::time::Instant::now(); let mut r=Reader::new(f); let (mut s,mut c)=(0u64,0u64);
loop{ match r.next().unwrap(){ Item::End(e)=>{println!("{e:?}");break} Item::CopyData(_)=>c+=1, _=>s+=1 } }
println!("{s} {c} {} bytes {:?}", r.offset(), t.elapsed()); }
