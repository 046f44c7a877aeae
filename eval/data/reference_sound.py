"""Prints the reference values of sounds in src/test_sounds.rs. Run: pip install numpy scipy pystoi pesq; python reference_sound.py

SI-SDR, STFT and mel distance are written down from their definitions in f64; the others come from pystoi and pesq.
"""
import numpy as np, importlib.metadata as md
from pystoi import stoi
from pystoi.utils import resample_oct
from pesq import pesq
def noise(i,seed):
    n=(i*7919+seed*15485863)%65521
    return (n*n%65521)%1024-512
def pair(rate,samples,amp):
    i=np.arange(samples,dtype=np.int64); syl=rate//4
    number,at=i//syl,i%syl
    env=np.where(number%4==3,0,4000*np.minimum(at,syl-at)//syl)
    period=syl*(20+number*7%11)//1000
    saw=8000*(i%period)//period-4000
    prod=saw*env; a=np.sign(prod)*(abs(prod)//1000)+noise(i,1)//16  # truncated towards 0, as in Rust
    b=a+noise(i,2)*amp//16
    assert max(abs(a).max(),abs(b).max())<32768
    return a/32768.,b/32768.
def sisdr(s,e):
    s,e=s-s.mean(),e-e.mean(); t=(s@e)/(s@s)*s
    return 10*np.log10((t@t)/((e-t)@(e-t)))
def mags(x,n):
    p=np.pad(x,n//2); w=0.5-0.5*np.cos(2*np.pi*np.arange(n)/n)
    f=np.array([w*np.pad(p,(0,n))[k:k+n] for k in range(0,len(x)+1,n//4)])
    return np.abs(np.fft.rfft(f)),w.sum()
def stft_distance(s,e):
    out=[]
    for n in (512,1024,2048):
        a,b=(np.sqrt(np.maximum(mags(x,n)[0]**2,1e-7)) for x in (s,e))
        out.append(np.linalg.norm(a-b)/np.linalg.norm(a)+np.mean(np.abs(np.log(a)-np.log(b))))
    return np.mean(out)
def mel_distance(s,e,rate):
    n=4
    while n<0.04*rate: n*=2
    mel=lambda f: f*3/200 if f<1000 else 15+27*np.log(f/1000)/np.log(6.4)
    hz=lambda m: np.where(m<15,m*200/3,1000*6.4**((m-15)/27))
    c=hz(np.linspace(0,mel(rate/2),82)); f=np.arange(n//2+1)*rate/n
    W=np.array([np.maximum(0,np.minimum((f-c[k])/(c[k+1]-c[k]),(c[k+2]-f)/(c[k+2]-c[k+1]))) for k in range(80)])
    W/=W.sum(1,keepdims=True)
    logs=[]
    for x in (s,e):
        m,total=mags(x,n); logs.append(np.log(np.maximum(m/total@W.T,1e-5)))
    return np.mean(np.abs(logs[0]-logs[1]))
def pcm(x,rate,to):
    y=x if rate==to else resample_oct(x,to,rate)
    return np.clip(np.floor(y*32768+0.5),-32768,32767).astype(np.int16)
def all_of(a,b,rate):
    return dict(si_sdr=sisdr(a,b),stft=stft_distance(a,b),mel=mel_distance(a,b,rate),
        stoi=stoi(a,b,rate),estoi=stoi(a,b,rate,extended=True),
        pesq_wb=pesq(16000,pcm(a,rate,16000),pcm(b,rate,16000),'wb'),
        pesq_nb=pesq(8000,pcm(a,rate,8000),pcm(b,rate,8000),'nb'))
if __name__=="__main__":
    print({p:md.version(p) for p in ("numpy","scipy","pystoi","pesq")})
    for rate,samples,amp in [(16000,48000,4),(24000,60001,16),(44100,110250,40),(8000,20000,10)]:
        r=all_of(*pair(rate,samples,amp),rate)
        print("Case {",f"rate: {rate:_}, samples: {samples:_}, amplitude: {amp},",", ".join(f"{k}: {float(v)!r}" for k,v in r.items()),"},")
