"""Prints the reference values in the tests of codec-eval. Run: pip install numpy scipy; python reference.py

The pictures are those of src/test_images.rs; MS-SSIM follows pytorch_msssim's conventions, in f64.
"""
import numpy as np
from scipy.interpolate import Akima1DInterpolator, PchipInterpolator
from scipy.ndimage import correlate1d
import scipy; print("scipy", scipy.__version__, "numpy", np.__version__)
def bd(a,t,kind):
    I={'akima':Akima1DInterpolator,'pchip':PchipInterpolator}[kind]
    (ra,qa),(rt,qt)=a,t
    fa=I(qa,np.log(ra)); ft=I(qt,np.log(rt))
    lo=max(min(qa),min(qt)); hi=min(max(qa),max(qt))
    d=(float(ft.integrate(lo,hi))-float(fa.integrate(lo,hi)))/(hi-lo)
    return (np.exp(d)-1)*100, lo, hi
hp=(np.array([0.1313,0.2089,0.3199,0.4784,0.6687,0.9388,1.2592,1.6602]),np.array([27.582,29.197,30.972,32.838,34.526,36.743,38.584,40.557]))
mb=(np.array([0.1239,0.1980,0.3072,0.4606,0.6617,0.9144,1.2342,1.6191]),np.array([27.699,29.359,31.129,32.951,34.968,36.911,38.838,40.633]))
ml=(np.array([0.1075,0.1747,0.2721,0.4129,0.5923,0.8025]),np.array([29.161,30.7137,32.3345,34.1702,35.8161,37.3229]))
# straight piece followed by a bend: exercises the rule for equal slopes
st=(np.exp(np.array([0.,1,2,3,3.5,5,7])),np.array([20.,21,22,23,24,25,26]))
s2=(np.exp(np.array([-.2,.7,1.5,2.6,3.3,4.6])),np.array([20.2,21,22,23.1,24,25.5]))
for n,a,t in [("hp-mb",hp,mb),("hp-ml",hp,ml),("mb-ml",mb,ml),("st-s2",st,s2)]:
    for k in ("akima","pchip"): print(n,k,*[repr(float(v)) for v in bd(a,t,k)])
fa=Akima1DInterpolator(*[st[1],np.log(st[0])]); print("akima at", [repr(float(fa(x))) for x in (20.5,23.5,24.5,25.9)])
fp=PchipInterpolator(*[st[1],np.log(st[0])]); print("pchip at", [repr(float(fp(x))) for x in (20.5,23.5,24.5,25.9)])
z=(np.array([1.,2,0.5,0.7,3,3]),np.arange(6.))
print("pchip nonmono", [repr(float(PchipInterpolator(z[1],z[0])(x))) for x in (0.5,1.5,2.3,3.9,4.5)], "akima", [repr(float(Akima1DInterpolator(z[1],z[0])(x))) for x in (0.5,1.5,2.3,3.9,4.5)])
# metrics
def img(w,h,seed):
    x,y,c=np.meshgrid(np.arange(w),np.arange(h),np.arange(3),indexing='xy')
    smooth=128+100*((x*(3+c)+y*5)%97)/97.-50
    n=(x*7919+y*104729+c*1299709+seed*15485863)%65521
    n=(n*n)%65521
    return np.floor(smooth).astype(int), (n%64)-32
def pair(w,h,amp):
    s,n=img(w,h,1); _,m=img(w,h,2)
    a=np.clip(s+n//2,0,255); b=np.clip(a+(m*amp)//32,0,255)
    return a.astype(float),b.astype(float)
def psnr(a,b): return 10*np.log10(255**2/np.mean((a-b)**2))
g=np.exp(-(np.arange(11)-5.)**2/(2*1.5**2)); g/=g.sum()
def filt(x):
    y=correlate1d(x,g,axis=0,mode='constant')[5:-5]
    return correlate1d(y,g,axis=1,mode='constant')[:,5:-5]
W=[0.0448,0.2856,0.3001,0.2363,0.1333]
def pool(x):
    ph,pw=x.shape[0]%2,x.shape[1]%2
    x=np.pad(x,((ph,ph),(pw,pw)))
    h,w=x.shape[0]//2*2,x.shape[1]//2*2
    x=x[:h,:w]
    return (x[0::2,0::2]+x[1::2,0::2]+x[0::2,1::2]+x[1::2,1::2])/4
def msssim(a,b):
    out=[]
    for c in range(3):
        x,y=a[...,c],b[...,c]; v=1.
        for i in range(5):
            m1,m2=filt(x),filt(y)
            s1,s2,s12=filt(x*x)-m1*m1,filt(y*y)-m2*m2,filt(x*y)-m1*m2
            C1,C2=(0.01*255)**2,(0.03*255)**2
            cs=(2*s12+C2)/(s1+s2+C2); ss=(2*m1*m2+C1)/(m1*m1+m2*m2+C1)*cs
            v*=max(0,(ss if i==4 else cs).mean())**W[i]
            x,y=pool(x),pool(y)
        out.append(v)
    return np.mean(out)
for w,h,amp in [(192,176,10),(177,191,32),(256,161,100)]:
    a,b=pair(w,h,amp); print(w,h,amp,a.sum(),b.sum(),repr(psnr(a,b)),repr(msssim(a,b)))
